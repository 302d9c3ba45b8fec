# Shared by every script here: where things are, and how a step is run and told. Sourced, never executed.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LIB=$ROOT/scripts/lib
CACHE=${BESSD_CACHE:-${HOME:-/root}/.cache/bessd}
source "$LIB/versions.sh"

# short_hash FILE...: eight hex digits that change when a file does.
short_hash() { cat "$@" | sha256sum | cut -c1-8; }

# Each installed thing lives in a directory named by its version, or by the hash of what defines it, so a new pin
# never meets an old installation and two checkouts can share the cache.
KAFKA_DIR=$CACHE/kafka-$KAFKA_VERSION-$(short_hash "$LIB/kafka-pom.xml")
VERSITYGW_DIR=$CACHE/versitygw-$VERSITYGW_VERSION
STATICCHECK_DIR=$CACHE/staticcheck-$STATICCHECK_VERSION
MINIO_DIR=$CACHE/minio-$MINIO_VERSION
LAKE_VENV=$CACHE/python-lake-$(short_hash "$LIB/requirements-lake.txt")
SPARK_VENV=$CACHE/python-spark-$(short_hash "$LIB/requirements-spark.txt")
SPARK_JARS=$CACHE/spark-jars-$(short_hash "$LIB/spark-pom.xml")
SPARK_S3_JARS=$CACHE/spark-s3-jars-$(short_hash "$LIB/spark-s3-pom.xml")

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need COMMAND REMEDY...: fail with one sentence when a command is missing.
need() { command -v "$1" >/dev/null 2>&1 || die "$1 is missing: ${*:2}"; }

# timed TITLE COMMAND...: run a command, say how long it took.
timed() {
  local title=$1 t0=$SECONDS; shift
  printf '== %s\n' "$title"
  "$@" || return $?
  printf '== %s: done in %d s\n' "$title" $((SECONDS - t0))
}

# install DIR TITLE REMEDY COMMAND...: run COMMAND unless DIR carries the stamp of an earlier success. What a failed or
# killed attempt left is removed first, so a stamp always means a whole installation.
install() {
  local dir=$1 title=$2 remedy=$3 t0=$SECONDS; shift 3
  if [ -f "$dir/.ok" ]; then printf 'have     %s\n' "$title"; return 0; fi
  printf 'install  %s ...\n' "$title"
  rm -rf "$dir"; mkdir -p "$dir"
  "$@" >"$dir/install.log" 2>&1 </dev/null || {
    tail -n 15 "$dir/install.log" >&2
    die "$title could not be installed: $remedy (full log: $dir/install.log)"
  }
  touch "$dir/.ok"
  printf 'install  %s: done in %d s\n' "$title" $((SECONDS - t0))
}

# tagged_files TAG_PATTERN: the test files behind a build tag.
tagged_files() { grep -rlE "^//go:build .*\b($1)\b" --include='*_test.go' . || true; }

# run_tagged TAG_PATTERN GO_TEST_ARGUMENT...: go test for the tests in those files alone, package by package.
run_tagged() {
  local files names; files=$(tagged_files "$1"); shift
  names=$(xargs -r grep -hoE '^func Test[A-Za-z0-9_]+' <<<"$files" | sed 's/^func //' | sort -u | paste -sd '|')
  go test -count=1 -p 1 -run "^($names)\$" "$@" $(xargs -r -n1 dirname <<<"$files" | sort -u)
}
