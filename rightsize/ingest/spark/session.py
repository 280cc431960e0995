"""Open a session on an existing Spark service, or on a Spark on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rightsize.model.errors import ServiceError, UsageError, install_extra

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_CONNECT_PORT = 15002

# Settings that the translated statements need: UTC times, case-sensitive names of members, null for failed casts.
_MEANING = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",
    "spark.sql.ansi.enabled": "false",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.adaptive.skewJoin.enabled": "true",
    "spark.sql.icu.caseMappings.enabled": "false",
}
_LOCAL = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}


@contextmanager
def _own_words_only() -> Iterator[None]:
    """Remove the environment variables that a Spark Connect client sets: they would make later sessions clients too."""
    words = set(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - words:
            if name.startswith("SPARK_"):
                del os.environ[name]


@contextmanager
def spark_session(url: str, settings: Mapping[str, str] | None = None) -> Iterator[SparkSession]:
    """Open a session, and stop it at the end unless it was already active.

    Args:
        url: A master (`local[*]`, `spark://…`, `yarn`, `k8s://…`), or `sc://HOST:PORT` for Spark Connect.
        settings: Settings of the session, as Spark names them; on a master also of the application.

    Raises:
        UsageError: The packages of the extra `spark` are not installed.
        ServiceError: No Spark answers at the URL, or Java is missing.
    """
    with _own_words_only(), _opened(url, settings or {}) as session:
        yield session


@contextmanager
def _opened(url: str, settings: Mapping[str, str]) -> Iterator[SparkSession]:
    try:
        from pyspark.errors import PySparkException  # noqa: PLC0415
        from pyspark.sql import SparkSession  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "the engine `spark` needs packages that are not installed", hint=install_extra("spark")
        ) from None
    connect = url.startswith("sc://")
    own = connect or SparkSession.getActiveSession() is None
    try:
        if connect:
            _knock(url)
            session = SparkSession.builder.remote(url).create()
        else:
            builder = SparkSession.builder.appName("rightsize").master(url)
            for name, value in ({**(_LOCAL if url.startswith("local") else {}), **settings}).items():
                builder = builder.config(name, value)
            session = builder.getOrCreate()
            session.sparkContext.setLogLevel("ERROR")
        for name, value in _MEANING.items():
            session.conf.set(name, value)
        if connect:
            for name, value in settings.items():
                session.conf.set(name, value)
    except (PySparkException, OSError, RuntimeError) as error:
        raise ServiceError(
            f"cannot reach Spark at `{url}`: {str(error).splitlines()[0][:200]}",
            hint="a Spark master needs Java 17 or newer on this machine; Spark Connect needs a server at that address",
        ) from error
    try:
        yield session
    finally:
        if own:
            session.stop()


def _knock(url: str) -> None:
    """Raise OSError if nothing listens at the address: the client would retry for ten minutes before it fails."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "localhost", address.port or _CONNECT_PORT), timeout=10):
        pass
