"""Sessions on a Spark that somebody else runs, or on one of this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rightsize.model.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_CONNECT_PORT = 15002

# What the carried statements rest on: times of UTC, names of members as they are spelt, null for what cannot be cast.
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
    """Take back the words that a client of Spark Connect leaves: they make later sessions clients, too."""
    words = set(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - words:
            if name.startswith("SPARK_"):
                del os.environ[name]


@contextmanager
def spark_session(url: str, settings: Mapping[str, str] | None = None) -> Iterator[SparkSession]:
    """Open a session, and end it where nobody else had one.

    Args:
        url: A master (`local[*]`, `spark://…`, `yarn`, `k8s://…`), or `sc://HOST:PORT` for Spark Connect.
        settings: Settings of the session, as Spark names them; on a master also of the application.

    Raises:
        UsageError: The packages of the extra `spark` are not installed.
        ServiceError: No Spark answers there, or there is no Java for one.
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
            "the engine `spark` needs packages that are not installed", hint="pip install 'rightsize[spark]'"
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
            f"no Spark could be reached at `{url}`: {str(error).splitlines()[0][:200]}",
            hint="a master needs Java 17 or newer here; Spark Connect needs a server that listens there",
        ) from error
    try:
        yield session
    finally:
        if own:
            session.stop()


def _knock(url: str) -> None:
    """Raise OSError where nothing listens: the client would try for ten minutes before it says so."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "localhost", address.port or _CONNECT_PORT), timeout=10):
        pass
