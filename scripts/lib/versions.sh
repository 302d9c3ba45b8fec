# Every pinned version of what the tests need beside Go's own modules. Sourced.
# A change here gives a new directory in the cache; the old one can be deleted.
KAFKA_VERSION=4.4.0
VERSITYGW_VERSION=v1.8.0
STATICCHECK_VERSION=v0.8.2
MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
MAVEN_DEPENDENCY_PLUGIN=3.8.1
