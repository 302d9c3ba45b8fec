package s3

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Credentials says where the access key comes from.
type Credentials string

// Sources of credentials.
const (
	// CredentialsAuto tries the AWS environment variables, the AWS credentials
	// file and then the machine's role.
	CredentialsAuto Credentials = "auto"
	// CredentialsFiles reads AccessKeyFile and SecretKeyFile, again every
	// minute, so that keys can be changed under a running process.
	CredentialsFiles Credentials = "files"
	// CredentialsStatic takes AccessKey and SecretKey as they are.
	CredentialsStatic Credentials = "static"
)

// Config says which bucket to use and how to reach it.
type Config struct {
	Bucket string
	// Prefix is the root of the lake within the bucket, without slashes at its ends.
	Prefix string
	// Endpoint is the server's address ("https://minio.example:9000"), empty for Amazon's.
	Endpoint string
	// Region, empty: Amazon is asked for it, others get "us-east-1".
	Region string
	// PathStyle puts the bucket into the path, not into the host name: most
	// servers but Amazon's need it.
	PathStyle bool

	Credentials                  Credentials // empty: auto
	AccessKey, SecretKey         string      // for static
	AccessKeyFile, SecretKeyFile string      // for files
	// CAFile has PEM certificates to trust besides the system's.
	CAFile string
	// Timeout is how long one request may take, 0 means a minute; uploads get
	// a second more per 64 KiB.
	Timeout time.Duration
}

// ParseURL splits "s3://bucket/prefix" into bucket and prefix.
func ParseURL(s string) (bucket, prefix string, err error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", "", fmt.Errorf("store url %q: want s3://bucket or s3://bucket/prefix", s)
	}
	return u.Host, strings.Trim(u.Path, "/"), nil
}

// endpoint returns host and whether TLS is used.
func (c Config) endpoint() (host string, secure bool, err error) {
	if c.Endpoint == "" {
		return "s3.amazonaws.com", true, nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return "", false, fmt.Errorf("s3 endpoint %q: want http://host:port or https://host:port", c.Endpoint)
	}
	return u.Host, u.Scheme == "https", nil
}

func (c Config) credentials() (*credentials.Credentials, error) {
	switch c.Credentials {
	case "", CredentialsAuto:
		return credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
		}), nil
	case CredentialsStatic:
		if c.AccessKey == "" || c.SecretKey == "" {
			return nil, errors.New("s3 credentials: static needs an access key and a secret key")
		}
		return credentials.NewStaticV4(c.AccessKey, c.SecretKey, ""), nil
	case CredentialsFiles:
		f := &keyFiles{access: c.AccessKeyFile, secret: c.SecretKeyFile}
		if _, err := f.Retrieve(); err != nil {
			return nil, err
		}
		return credentials.New(f), nil
	}
	return nil, fmt.Errorf("s3 credentials %q: want auto, files or static", c.Credentials)
}

// keyFiles reads the keys from two files, and again when a minute has passed.
type keyFiles struct {
	access, secret string
	read           time.Time
}

var _ credentials.Provider = (*keyFiles)(nil)

// Retrieve implements credentials.Provider.
func (k *keyFiles) Retrieve() (credentials.Value, error) {
	access, err := os.ReadFile(k.access)
	if err != nil {
		return credentials.Value{}, fmt.Errorf("reading the s3 access key file: %w", err)
	}
	secret, err := os.ReadFile(k.secret)
	if err != nil {
		return credentials.Value{}, fmt.Errorf("reading the s3 secret key file: %w", err)
	}
	v := credentials.Value{AccessKeyID: strings.TrimSpace(string(access)), SecretAccessKey: strings.TrimSpace(string(secret)), SignerType: credentials.SignatureV4}
	if v.AccessKeyID == "" || v.SecretAccessKey == "" {
		return credentials.Value{}, fmt.Errorf("s3 key files %s and %s: one of them is empty", k.access, k.secret)
	}
	k.read = time.Now()
	return v, nil
}

// RetrieveWithCredContext implements credentials.Provider.
func (k *keyFiles) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	return k.Retrieve()
}

// IsExpired implements credentials.Provider.
func (k *keyFiles) IsExpired() bool { return time.Since(k.read) > time.Minute }

func (c Config) transport() (*http.Transport, error) {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       time.Minute,
		ExpectContinueTimeout: 5 * time.Second,
		DisableCompression:    true,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if c.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading the s3 ca_file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("s3 ca_file %s: no certificate in it", c.CAFile)
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}
