#!/usr/bin/env bash
# The steps that every pipeline runs: run.sh exports|load|propose|comment|gate. They read their inputs from the
# environment (INPUT_…), so that no input stands in a script. TOOLS is the folder that holds what .ci/install made; without
# it `rightsize` has to be on the PATH. The exit codes are those of rightsize.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ -n "${TOOLS:-}" ]; then PATH="$TOOLS/rightsize/bin:$PATH"; fi
db=${INPUT_DB:-rightsize.duckdb}
plan=${INPUT_PLAN:-rightsize-plan}

# Runners take some lines of a log for commands. A name in Azure may look like one.
harmless() { sed -u -e 's/##\(vso\)\{0,1\}\[/## \1[/g' -e 's/^\([[:space:]]*\)::/\1: :/'; }

# Reads Azure with `az`, which the pipeline has signed in.
exports() {
  if [ "${INPUT_FETCH:-false}" = false ]; then return 0; fi
  rightsize fetch-script --no-input --quiet --out "${TOOLS:?}/fetch.sh"
  bash "$TOOLS/fetch.sh" "${INPUT_EXPORTS:?the exports need a folder}"
}

load() {
  if [ -z "${INPUT_EXPORTS:-}" ]; then return 0; fi
  rightsize load --no-input --db "$db" -- "$INPUT_EXPORTS"
  # Otherwise `propose` makes the analysis that the gate reads, too.
  if [ "${INPUT_PROPOSE:-false}" = false ]; then rightsize analyze --no-input --quiet --db "$db" >/dev/null; fi
}

propose() {
  if [ "${INPUT_PROPOSE:-false}" = false ]; then return 0; fi
  rightsize propose --no-input --quiet --db "$db" --out "$plan" --format markdown >/dev/null
  if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then cat "$plan/comment.md" >>"$GITHUB_STEP_SUMMARY"; fi
}

comment() {
  if [ "${INPUT_PROPOSE:-false}" = false ] || [ "${INPUT_COMMENT:-true}" = false ]; then return 0; fi
  local python="${TOOLS:+$TOOLS/rightsize/bin/python}"
  "${python:-python3}" "$here/comment.py" "$plan/comment.md"
}

# Says whether a deployment would be refused, and ends with the code of that.
preflight() {
  local code=0 file files=() arguments=(--no-input --db "$db" -o markdown) told
  while IFS= read -r file; do
    if [ -n "$file" ]; then files+=("$file"); fi
  done <<<"$INPUT_NEEDS"
  if [ -n "${INPUT_AT:-}" ]; then arguments+=(--at "$INPUT_AT"); fi
  arguments+=(--by "${INPUT_DEPLOYS_BY:?the needs of a deployment ask who deploys it}")
  told=$(rightsize needs "${arguments[@]}" -- "${files[@]}") || code=$?
  printf '%s\n' "$told" | harmless
  if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then printf '%s\n\n' "$told" >>"$GITHUB_STEP_SUMMARY"; fi
  return "$code"
}

# Ends with the worst of the exit codes of its parts.
gate() {
  local worst=0 code file files=() granted arguments delimiter
  if [ -n "${INPUT_NEEDS:-}" ]; then preflight || worst=$?; fi
  if [ -n "${INPUT_SINCE:-}" ]; then
    while IFS= read -r file; do
      if [ -n "$file" ]; then files+=("$file"); fi
    done <<<"${INPUT_ROLES:-}"
    if [ "${#files[@]}" -gt 0 ]; then
      code=0
      granted=$(rightsize roles no-new-access --no-input --since "$INPUT_SINCE" -o markdown -- "${files[@]}") || code=$?
      printf '%s\n' "$granted" | harmless
      if [ "$code" -eq 3 ] && [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
        printf '## Role definitions that grant more\n\n%s\n\n' "$granted" >>"$GITHUB_STEP_SUMMARY"
      fi
      if [ "$code" -gt "$worst" ]; then worst=$code; fi
    fi
  fi
  if [ "${INPUT_CHECK:-true}" != false ]; then
    arguments=(--no-input --db "$db")
    if [ -n "${GITHUB_ACTIONS:-}" ]; then arguments+=(-o github); fi
    if [ -n "${INPUT_SARIF:-}" ]; then arguments+=(--write "sarif=$INPUT_SARIF"); fi
    if [ -n "${INPUT_FAIL_ON:-}" ]; then arguments+=(--fail-on "$INPUT_FAIL_ON"); fi
    if [ -n "${INPUT_EXEMPTIONS:-}" ]; then arguments+=(--exemptions "$INPUT_EXEMPTIONS"); fi
    if [ -n "${INPUT_BASELINE:-}" ]; then arguments+=(--baseline "$INPUT_BASELINE"); fi
    code=0
    rightsize check "${arguments[@]}" || code=$?
    if [ "$code" -gt "$worst" ]; then worst=$code; fi
    if [ -n "${GITHUB_OUTPUT:-}" ] && [ -f "${INPUT_SARIF:-}" ]; then
      delimiter="rightsize-$RANDOM$RANDOM"
      printf 'sarif<<%s\n%s\n%s\n' "$delimiter" "$INPUT_SARIF" "$delimiter" >>"$GITHUB_OUTPUT"
    fi
  fi
  return "$worst"
}

case "${1:-}" in
  exports | load | propose | comment) "$1" 2>&1 | harmless ;;
  # What `check -o github` prints are such lines, with every name escaped.
  gate) if [ -n "${GITHUB_ACTIONS:-}" ]; then gate; else gate 2>&1 | harmless; fi ;;
  *) echo "usage: run.sh exports|load|propose|comment|gate" >&2 && exit 2 ;;
esac
