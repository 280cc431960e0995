#!/usr/bin/env bash
# The check of the action: reads its inputs from the environment, ends with the worse of the exit codes of its two parts.
set -euo pipefail

worst=0
remember() { if [ "$1" -gt "$worst" ]; then worst=$1; fi; }

if [ -n "${INPUT_SINCE:-}" ]; then
  files=()
  while IFS= read -r file; do
    if [ -n "$file" ]; then files+=("$file"); fi
  done <<<"${INPUT_ROLES:-}"
  if [ "${#files[@]}" -gt 0 ]; then
    code=0
    rightsize roles no-new-access --no-input --since "$INPUT_SINCE" -o markdown -- "${files[@]}" \
      >"${RUNNER_TEMP:-/tmp}/rightsize-roles.md" || code=$?
    if [ "$code" -eq 3 ] && [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
      { printf '## Role definitions that grant more\n\n'; cat "${RUNNER_TEMP:-/tmp}/rightsize-roles.md"; printf '\n'; } \
        >>"$GITHUB_STEP_SUMMARY"
    fi
    remember "$code"
  fi
fi

if [ "${INPUT_CHECK:-true}" != "false" ]; then
  if [ -n "${INPUT_EXPORTS:-}" ]; then
    rightsize load --no-input --db "$INPUT_DB" -- "$INPUT_EXPORTS"
    rightsize analyze --no-input --quiet --db "$INPUT_DB" >/dev/null
  fi
  arguments=(--no-input --db "$INPUT_DB" -o github --write "sarif=$INPUT_SARIF")
  if [ -n "${INPUT_FAIL_ON:-}" ]; then arguments+=(--fail-on "$INPUT_FAIL_ON"); fi
  if [ -n "${INPUT_EXEMPTIONS:-}" ]; then arguments+=(--exemptions "$INPUT_EXEMPTIONS"); fi
  if [ -n "${INPUT_BASELINE:-}" ]; then arguments+=(--baseline "$INPUT_BASELINE"); fi
  code=0
  rightsize check "${arguments[@]}" || code=$?
  remember "$code"
  if [ -n "${GITHUB_OUTPUT:-}" ] && [ -f "$INPUT_SARIF" ]; then
    delimiter="rightsize-$RANDOM$RANDOM"
    printf 'sarif<<%s\n%s\n%s\n' "$delimiter" "$INPUT_SARIF" "$delimiter" >>"$GITHUB_OUTPUT"
  fi
fi

exit "$worst"
