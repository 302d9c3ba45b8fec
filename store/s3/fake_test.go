package s3

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is a small S3 server: one bucket, path style, and as much of PUT, GET,
// HEAD, DELETE and ListObjectsV2 as the store uses. hook may spoil a request.
type fake struct {
	*httptest.Server
	bucket   string
	pageSize int

	mu       sync.Mutex
	objects  map[string]object
	requests int
	hook     func(n int, r *http.Request) fault
}

type object struct {
	data     []byte
	modified time.Time
}

// fault is what happens to one request.
type fault struct {
	status int    // answer this instead of doing it
	code   string // with this S3 error code
	before bool   // cut the connection before doing it
	after  bool   // do it, then cut the connection: the reply is lost
	half   bool   // GET: send half the body, then cut
	slow   time.Duration
}

func newFake(t testing.TB) *fake {
	f := &fake{bucket: "lake", pageSize: 3, objects: map[string]object{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) setHook(hook func(n int, r *http.Request) fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests, f.hook = 0, hook
}

func s3Error(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, code)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	f.requests++
	hook, n := f.hook, f.requests
	f.mu.Unlock()
	var x fault
	if hook != nil {
		x = hook(n, r)
	}
	if x.slow > 0 {
		select {
		case <-time.After(x.slow):
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case x.status != 0:
		s3Error(w, x.status, x.code)
		return
	case x.before:
		panic(http.ErrAbortHandler)
	case x.after:
		f.serve(httptest.NewRecorder(), r, body)
		panic(http.ErrAbortHandler)
	case x.half:
		rec := httptest.NewRecorder()
		f.serve(rec, r, body)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.Header().Set("Content-Length", strconv.Itoa(rec.Body.Len()))
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	f.serve(w, r, body)
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request, body []byte) {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=key/") {
		s3Error(w, http.StatusForbidden, "InvalidAccessKeyId")
		return
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if bucket != f.bucket {
		s3Error(w, http.StatusNotFound, "NoSuchBucket")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	o, exists := f.objects[key]
	switch {
	case key == "" && r.Method == http.MethodGet && r.URL.Query().Get("list-type") == "2":
		f.list(w, r.URL.Query())
	case r.Method == http.MethodPut:
		if strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked") {
			body = unchunk(body)
		}
		if sum := r.Header.Get("Content-Md5"); sum != "" {
			if got := md5.Sum(body); base64.StdEncoding.EncodeToString(got[:]) != sum {
				s3Error(w, http.StatusBadRequest, "BadDigest")
				return
			}
		}
		if r.Header.Get("If-None-Match") == "*" && exists {
			s3Error(w, http.StatusPreconditionFailed, "PreconditionFailed")
			return
		}
		f.objects[key] = object{data: body, modified: time.Now()}
		w.Header().Set("ETag", `"x"`)
	case r.Method == http.MethodDelete:
		delete(f.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case !exists:
		s3Error(w, http.StatusNotFound, "NoSuchKey")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		if rg := r.Header.Get("Range"); rg != "" && o.modified.IsZero() == false {
			var from int
			fmt.Sscanf(rg, "bytes=%d-", &from)
			if from >= len(o.data) {
				s3Error(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
				return
			}
		}
		w.Header().Set("ETag", `"x"`)
		http.ServeContent(w, r, "", o.modified, bytes.NewReader(o.data))
	default:
		s3Error(w, http.StatusNotImplemented, "NotImplemented")
	}
}

func (f *fake) list(w http.ResponseWriter, q url.Values) {
	type content struct {
		Key          string
		Size         int
		LastModified string
	}
	var result struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Contents              []content
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		EncodingType          string
	}
	result.EncodingType = "url"
	after := max(q.Get("start-after"), q.Get("continuation-token"))
	var keys []string
	for k := range f.objects {
		if strings.HasPrefix(k, q.Get("prefix")) && k > after {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	if len(keys) > f.pageSize {
		keys = keys[:f.pageSize]
		result.IsTruncated, result.NextContinuationToken = true, keys[len(keys)-1]
	}
	for _, k := range keys {
		o := f.objects[k]
		result.Contents = append(result.Contents, content{url.QueryEscape(k), len(o.data), o.modified.UTC().Format(time.RFC3339)})
	}
	w.Header().Set("Content-Type", "application/xml")
	xml.NewEncoder(w).Encode(result)
}

// unchunk takes the signatures out of an aws-chunked body.
func unchunk(body []byte) []byte {
	var out []byte
	r := bufio.NewReader(bytes.NewReader(body))
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return out
		}
		size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		n, err := strconv.ParseInt(size, 16, 64)
		if err != nil || n == 0 {
			return out
		}
		chunk := make([]byte, n+2)
		if _, err := io.ReadFull(r, chunk); err != nil {
			return out
		}
		out = append(out, chunk[:n]...)
	}
}
