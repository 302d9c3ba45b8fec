package config

import (
	"errors"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"bessd/internal/yamlx"
)

// Central is the configuration of `bessd central`.
type Central struct {
	DataDir     string        `yaml:"data_dir" doc:"directory of staged files; one central each"`
	Kafka       Kafka         `yaml:"kafka" doc:"where to read"`
	CreateTopic *CreateTopic  `yaml:"create_topic,omitempty" doc:"creates the topic when it is missing; an existing one is left as it is"`
	Store       Store         `yaml:"store" doc:"where the tables are"`
	Archive     Archive       `yaml:"archive" doc:"how messages become files"`
	StartWait   time.Duration `yaml:"start_wait" doc:"how long a start waits for Kafka and the store before it gives up"`
	HTTP        HTTP          `yaml:"http" doc:"metrics and health"`
	Log         Log           `yaml:"log" doc:"how to log"`
}

// CreateTopic is how a missing topic is made. A site's messages stay in one partition.
type CreateTopic struct {
	Partitions  int           `yaml:"partitions" doc:"how many nodes can share the work at most"`
	Replication int           `yaml:"replication" doc:"copies; 0 leaves it to the broker"`
	Retention   time.Duration `yaml:"retention" doc:"how long Kafka keeps messages: the longest time that central may be away"`
}

// SetDefaults sets what is not written.
func (t *CreateTopic) SetDefaults() { t.Partitions, t.Retention = 12, 7*24*time.Hour }

// Store says where the tables are.
type Store struct {
	URL string `yaml:"url" doc:"s3://bucket/prefix or file:///dir"`
	S3  *S3    `yaml:"s3,omitempty" doc:"for s3:// only"`
}

// Dir is the directory of a file:// store, "" for others.
func (s Store) Dir() string {
	if p, ok := strings.CutPrefix(s.URL, "file://"); ok {
		return p
	}
	return ""
}

// Bucket gives bucket and prefix of an s3:// store.
func (s Store) Bucket() (bucket, prefix string) {
	p, ok := strings.CutPrefix(s.URL, "s3://")
	if !ok {
		return "", ""
	}
	bucket, prefix, _ = strings.Cut(p, "/")
	return bucket, strings.Trim(prefix, "/")
}

// S3 says how to reach the bucket. After loading with credentials: files, AccessKey and SecretKey hold the files' texts.
type S3 struct {
	Endpoint      string `yaml:"endpoint,omitempty" doc:"https://host:port of a server that is not AWS"`
	Region        string `yaml:"region" doc:"region of the bucket"`
	PathStyle     bool   `yaml:"path_style,omitempty" doc:"bucket in the path, for most servers that are not AWS"`
	Credentials   string `yaml:"credentials" doc:"auto: environment, then the machine's role; files: the two files"`
	AccessKeyFile string `yaml:"access_key_file,omitempty" doc:"file with the access key"`
	SecretKeyFile string `yaml:"secret_key_file,omitempty" doc:"file with the secret key"`

	AccessKey, SecretKey yamlx.Secret `yaml:"-"`
}

// SetDefaults sets what is not written.
func (s *S3) SetDefaults() { s.Region, s.Credentials = "us-east-1", "auto" }

// Archive says when a flush happens and how much may wait.
type Archive struct {
	FlushEvery time.Duration `yaml:"flush_every" doc:"longest time before messages become files; at least once an hour"`
	FlushBytes yamlx.Size    `yaml:"flush_bytes" doc:"bound of the memory of one section; reaching it flushes"`
	StageBytes yamlx.Size    `yaml:"stage_bytes" doc:"bound of staged files on disk; reaching it pauses reading"`
}

// DefaultCentral is a central without data_dir, brokers and store, which must be written.
func DefaultCentral() Central {
	return Central{
		Kafka:     defaultKafka(),
		Archive:   Archive{FlushEvery: time.Minute, FlushBytes: 64 << 20, StageBytes: 4 << 30},
		StartWait: time.Minute,
		HTTP:      HTTP{Listen: "127.0.0.1:8080"},
		Log:       defaultLog(),
	}
}

func (m *Central) check(c *checker) {
	m.DataDir = c.dir("data_dir", m.DataDir)
	c.kafka("kafka", &m.Kafka)
	if t := m.CreateTopic; t != nil {
		if t.Partitions < 1 || t.Partitions > 10_000 {
			c.bad("create_topic.partitions", "is %d; want 1 to 10000", t.Partitions)
		}
		if t.Replication < 0 || t.Replication > 32 {
			c.bad("create_topic.replication", "is %d; want 0 to 32", t.Replication)
		}
		c.duration("create_topic.retention", t.Retention, time.Hour, 10*365*24*time.Hour)
	}
	c.duration("start_wait", m.StartWait, time.Second, 24*time.Hour)
	m.Store.check(c)
	c.duration("archive.flush_every", m.Archive.FlushEvery, time.Second, time.Hour)
	c.size("archive.flush_bytes", m.Archive.FlushBytes, 1<<20, 8<<30)
	c.size("archive.stage_bytes", m.Archive.StageBytes, 16<<20, 1<<50)
	c.http("http", m.HTTP)
	c.log("log", m.Log)
}

// ParseStore reads a store's URL as it stands on a command line; relative directories begin at the working directory.
func ParseStore(text string) (Store, error) {
	s := Store{URL: text}
	doc, err := yamlx.Parse("", nil)
	if err != nil {
		return s, err
	}
	c := &checker{doc: doc, base: "."}
	s.check(c)
	var errs []error
	for _, p := range c.problems {
		errs = append(errs, errors.New(p.Message))
	}
	return s, errors.Join(errs...)
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

func (s *Store) check(c *checker) {
	const want = "want s3://bucket/prefix or file:///directory"
	u, err := url.Parse(s.URL)
	switch {
	case s.URL == "":
		c.bad("store.url", "missing; %s", want)
		return
	case err == nil && u.User != nil:
		c.bad("store.url", "holds credentials; remove them, and see store.s3.credentials")
		return
	case err != nil || u.Scheme != "s3" && u.Scheme != "file" || u.RawQuery != "" || u.Fragment != "":
		c.bad("store.url", "is %q; %s", s.URL, want)
		return
	case u.Scheme == "file":
		dir := u.Host + u.Path + u.Opaque // file://lake and file:lake are relative to the configuration
		if dir == "" {
			c.bad("store.url", "is %q; %s", s.URL, want)
			return
		}
		s.URL = "file://" + filepath.ToSlash(c.path(dir))
		if s.S3 != nil {
			c.bad("store.s3", "does not fit a file:// store; remove it, or set store.url to s3://bucket/prefix")
		}
		return
	}
	if !bucketName.MatchString(u.Host) {
		c.bad("store.url", "bucket %q; want 3 to 63 of a-z, 0-9, . and -", u.Host)
	}
	if s.S3 == nil {
		s.S3 = &S3{}
		s.S3.SetDefaults()
	}
	s.S3.check(c)
}

func (s *S3) check(c *checker) {
	if s.Endpoint != "" {
		u, err := url.Parse(s.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
			c.bad("store.s3.endpoint", "want https://host:port, without path and credentials")
		} else if u.Scheme == "http" && !loopback(u.Hostname()) {
			c.warn("store.s3.endpoint", "is not encrypted; use https:// outside a test")
		}
	}
	if s.Region == "" {
		c.bad("store.s3.region", "is empty; want a region such as eu-central-1")
	}
	switch s.Credentials {
	case "auto":
		for key, v := range map[string]string{"access_key_file": s.AccessKeyFile, "secret_key_file": s.SecretKeyFile} {
			if v != "" {
				c.bad("store.s3."+key, "is not read with credentials: auto; set credentials: files")
			}
		}
	case "files":
		s.AccessKey = c.secretFile("store.s3.access_key_file", &s.AccessKeyFile)
		s.SecretKey = c.secretFile("store.s3.secret_key_file", &s.SecretKeyFile)
	default:
		c.bad("store.s3.credentials", "is %q; want auto or files", s.Credentials)
	}
}
