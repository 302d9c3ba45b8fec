//go:build integration

package testenv

import (
	"fmt"
	"net/http"
	"testing"
)

func TestKafkaKeepsTopicsOverKillAndRestart(t *testing.T) {
	k := StartKafka(t, KafkaOptions{})
	k.CreateTopic(t, "kept", 4, map[string]string{"retention.ms": "-1"})
	k.Kill9()
	k.Restart(t)
	leaders := func(topic string) int {
		m, err := k.metadata(topic)
		if err != nil {
			t.Fatal(err)
		}
		return m.leaders
	}
	Await(t, soon, func() error { return wantEqual(leaders("kept"), 4) })
	k.Stop(t)
	k.Restart(t)
	Await(t, soon, func() error { return wantEqual(leaders("kept"), 4) })
	k.DeleteTopic(t, "kept")
	k.CreateTopic(t, "kept", 2, nil)
	if n := leaders("kept"); n != 2 {
		t.Errorf("the new topic has %d leaders", n)
	}
	if err := k.request(createTopics("kept", 2, nil), topicResult); err == nil {
		t.Error("a topic was created twice")
	}
}

// deltalake writes a table through a signed and faulty S3, and reads the same rows after the server was killed.
func testS3(t *testing.T, o S3Options) {
	s := StartS3(t, o)
	p := NewHTTPProxy(t, s.Endpoint)
	python := LakePython(t)
	var got struct{ Rows, Sum int }
	p.Script(Every(3, func(r *http.Request) bool { return r.Method == http.MethodPut }, HTTPFault{Status: http.StatusServiceUnavailable}))
	python.JSON(t, &got, "s3_smoke.py", "write", p.URL, s.Bucket, s.AccessKey, s.SecretKey)
	s.Kill9()
	s.Restart(t)
	p.Script(nil)
	python.JSON(t, &got, "s3_smoke.py", "read", p.URL, s.Bucket, s.AccessKey, s.SecretKey)
	if got.Rows != 300 || got.Sum != 300*299/2 {
		t.Errorf("read %+v", got)
	}
	faults := 0
	for _, x := range p.Exchanges() {
		if x.Fault.Status != 0 {
			faults++
		}
	}
	if faults == 0 {
		t.Error("no request met a fault")
	}
}

func TestVersitygw(t *testing.T) { testS3(t, S3Options{}) }

func wantEqual(got, want int) error {
	if got != want {
		return fmt.Errorf("got %d, want %d", got, want)
	}
	return nil
}
