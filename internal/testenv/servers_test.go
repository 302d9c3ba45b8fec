//go:build integration

package testenv

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
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

func TestPymodbusImage(t *testing.T) {
	python := LakePython(t)
	var ready struct{ Port, Base int }
	image := python.Start(t, &ready, "pymodbus_image.py", "--sunspec", "3", "--pylontech", "4")
	type model struct {
		ID     int
		Error  string
		Points map[string]any
		Groups map[string][]map[string]any
	}
	// dump returns all points by model and place: "804:2/3 ModSoC".
	dump := func() map[string]any {
		t.Helper()
		var d struct{ Models []model }
		python.JSON(t, &d, "sunspec_dump.py", "127.0.0.1", fmt.Sprint(ready.Port), "3")
		values, seen := map[string]any{}, map[int]int{}
		for _, m := range d.Models {
			if m.Error != "" {
				t.Errorf("pysunspec2 says %s", m.Error)
			}
			seen[m.ID]++
			for name, v := range m.Points {
				values[fmt.Sprintf("%d:%d %s", m.ID, seen[m.ID], name)] = v
			}
			for _, group := range m.Groups {
				for i, member := range group {
					for name, v := range member {
						values[fmt.Sprintf("%d:%d/%d %s", m.ID, seen[m.ID], i+1, name)] = v
					}
				}
			}
		}
		return values
	}
	before := dump()
	if len(before) < 1000 || before["802:1 SoC"] == nil || before["713:1 SoH"] != nil {
		t.Fatalf("%d points, SoC %v, SoH %v", len(before), before["802:1 SoC"], before["713:1 SoH"])
	}
	var answer struct{ OK bool }
	image.Ask(t, &answer, `{"set": {"802.SoC": 12.25, "804:2.m:3.ModSoC": null}}`)
	if after := dump(); !answer.OK || after["802:1 SoC"] != 12.25 || after["804:2/3 ModSoC"] != nil || after["804:2/2 ModSoC"] == nil {
		t.Errorf("after a change: %v, SoC %v", answer, after["802:1 SoC"])
	}
	image.Ask(t, &answer, `{"set": {"999.X": 1}}`)
	if answer.OK {
		t.Error("a point that is not there was set")
	}

	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ready.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte{0, 1, 0, 0, 0, 6, 4, 3, 0x11, 0x04, 0, 2}) // Pylontech's current, 32 bits in 0.01 A
	reply := make([]byte, 13)
	if _, err := io.ReadFull(c, reply); err != nil {
		t.Fatal(err)
	}
	if raw := int32(binary.BigEndian.Uint32(reply[9:])); raw != -15137 {
		t.Errorf("the current is %d", raw)
	}
}

// tableFigures is what scripts/judge/tablesum.py says about a column, as far as this test looks.
type tableFigures struct {
	Rows    int
	Columns map[string]struct {
		Nulls int
		Sum   float64
		Hash  string
	}
}

// Spark reads, from the bucket's directory, what deltalake wrote through S3.
func TestSparkReadsTheBucket(t *testing.T) {
	s := StartS3(t, S3Options{})
	var wrote struct{ Rows, Sum int }
	LakePython(t).JSON(t, &wrote, "s3_smoke.py", "write", s.Endpoint, s.Bucket, s.AccessKey, s.SecretKey)
	var read struct{ Tables map[string]tableFigures }
	table := s.Dir + "/smoke"
	SparkPython(t).JSON(t, &read, "spark_read.py", table)
	got := read.Tables[table]
	if got.Rows != wrote.Rows || got.Columns["n"].Sum != float64(wrote.Sum) || got.Columns["n"].Nulls != 0 {
		t.Errorf("deltalake wrote %+v, Spark read %+v", wrote, got)
	}
}
