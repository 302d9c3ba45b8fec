// Package s3 is an object store that speaks the S3 protocol: Amazon S3, MinIO,
// versitygw and others. It is the only package that knows the client library.
//
// The store must honour If-None-Match on PUT: the commit log stands on it, and
// Check tries it. Commits are therefore single PUTs, never multipart uploads,
// for which the header is ignored. The library's own retries are off; who calls
// us waits and logs. A PUT whose reply is lost may have been done, so its
// repetition can be refused with "exists": package delta tells its own commit
// from another's.
//
// Failures are classified here, where they are known best: transient (waiting
// helps) or permanent with a remedy.
package s3
