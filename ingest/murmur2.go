package ingest

import "encoding/binary"

// Partition is the partition of a key among count partitions: the same that
// Java clients choose, so that other producers and readers agree with us.
// It returns 0 when count is below 1.
func Partition(key []byte, count int) int {
	if count < 1 {
		return 0
	}
	return int(murmur2(key)&0x7fffffff) % count
}

// murmur2 is Austin Appleby's MurmurHash2 with the seed of Kafka's Java client
// (org.apache.kafka.common.utils.Utils.murmur2).
func murmur2(data []byte) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
		r    = 24
	)
	h := seed ^ uint32(len(data))
	for len(data) >= 4 {
		k := binary.LittleEndian.Uint32(data)
		k *= m
		k ^= k >> r
		k *= m
		h *= m
		h ^= k
		data = data[4:]
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}
