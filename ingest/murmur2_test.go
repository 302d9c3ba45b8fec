package ingest

import "testing"

// The values are those of Kafka's own test of its Java client (UtilsTest.testMurmur2).
func TestMurmur2MatchesJava(t *testing.T) {
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
}

func TestPartitionStaysInRange(t *testing.T) {
	for count := -1; count < 20; count++ {
		for _, key := range []string{"", "a", "ab", "abc", "alfa", "site/with/umlaut-ü"} {
			if p := Partition([]byte(key), count); p < 0 || p >= max(count, 1) {
				t.Errorf("Partition(%q, %d) = %d", key, count, p)
			}
		}
	}
}

func BenchmarkMurmur2(b *testing.B) {
	key := []byte("site-0042.example")
	var sum uint32
	for b.Loop() {
		sum += murmur2(key)
	}
	_ = sum
}
