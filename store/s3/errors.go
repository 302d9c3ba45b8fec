package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"

	"github.com/minio/minio-go/v7"

	"bessd/store/blob"
)

// fail classifies a failure. ctx is the caller's: its end is no failure of the
// store, that of our own timeout is.
func (s *Store) fail(ctx context.Context, op, key string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s %s: %w", op, s.where(key), cause)
	}
	e := &blob.Error{Op: op, Key: s.where(key), Err: err}
	e.Kind, e.Remedy = s.classify(err)
	if is := sentinel(err); is != nil {
		e.Err = fmt.Errorf("%w (%w)", is, err)
	}
	return e
}

func (s *Store) where(key string) string { return "s3://" + s.cfg.Bucket + "/" + s.key(key) }

// sentinel translates the two answers that are not failures.
func sentinel(err error) error {
	switch r := minio.ToErrorResponse(err); {
	case r.Code == minio.NoSuchKey:
		return fs.ErrNotExist
	case r.Code == minio.PreconditionFailed, r.StatusCode == http.StatusPreconditionFailed:
		return fs.ErrExist
	}
	return nil
}

func (s *Store) classify(err error) (blob.Kind, string) {
	var (
		unknownCA x509.UnknownAuthorityError
		badHost   x509.HostnameError
		badCert   *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &unknownCA), errors.As(err, &badHost), errors.As(err, &badCert):
		return blob.Permanent, "the server's certificate is not trusted: set s3.ca_file or correct the endpoint"
	}
	r := minio.ToErrorResponse(err)
	switch r.Code {
	case minio.NoSuchKey, minio.PreconditionFailed:
		return blob.Permanent, ""
	case minio.NoSuchBucket:
		return blob.Permanent, fmt.Sprintf("create the bucket %q or correct store.url", s.cfg.Bucket)
	case minio.AccessDenied, "AllAccessDisabled", "AccountProblem":
		return blob.Permanent, fmt.Sprintf("allow s3:GetObject, s3:PutObject, s3:DeleteObject on %s/* and s3:ListBucket on bucket %q", s.where(""), s.cfg.Bucket)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidTokenId", "InvalidToken":
		return blob.Permanent, "the access key or the secret key is wrong: check store.s3.credentials"
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException":
		return blob.Permanent, "the bucket is in another region: set store.s3.region"
	case "RequestTimeTooSkewed":
		return blob.Transient, "this machine's clock is wrong: set it, or start NTP"
	case "ExpiredToken", "ExpiredTokenException":
		return blob.Transient, "the credentials have expired and must be renewed"
	case "NotImplemented":
		return blob.Permanent, "the server does not know an S3 feature that is needed, such as If-None-Match on PUT: use another or a newer one"
	case "InvalidBucketName":
		return blob.Permanent, "correct the bucket's name in store.url"
	case "XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded":
		return blob.Transient, "free space in the object store; nothing is lost meanwhile"
	}
	switch c := r.StatusCode; {
	case c == http.StatusForbidden || c == http.StatusUnauthorized:
		return blob.Permanent, "access is denied: check store.s3.credentials and the bucket's policy"
	case c == http.StatusConflict, c == http.StatusTooManyRequests, c == http.StatusRequestTimeout, c >= 500:
		return blob.Transient, ""
	case c >= 300:
		return blob.Permanent, "check store.s3.endpoint: the server does not answer as S3 does"
	}
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &dns):
		return blob.Transient, "check store.s3.endpoint and the name server"
	case errors.As(err, &op) && op.Op == "dial":
		return blob.Transient, "check that the server runs and store.s3.endpoint is right"
	}
	return blob.Transient, "" // cut connections, timeouts
}
