package rdb

import (
	"strconv"
	"strings"
	"sync"
)

// slots is the number of slots of a cluster.
const slots = 16384

// slotOf returns the cluster slot of key: that of the text between the first
// "{" and the next "}" if there is any, else that of the whole key.
func slotOf(key string) uint16 {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if n := strings.IndexByte(key[open+1:], '}'); n > 0 {
			key = key[open+1 : open+1+n]
		}
	}
	return crc16(key) % slots
}

// crc16 is the CRC that Redis Cluster uses: XMODEM, polynomial 0x1021.
func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^s[i]]
	}
	return crc
}

var crcTable = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		table[i] = crc
	}
	return table
}()

// slotTags has a short text for every slot, found by counting. They never
// change: keys in Redis hold them.
var slotTags = sync.OnceValue(func() *[slots]string {
	tags := new([slots]string)
	for n, left := uint64(0), slots; left > 0; n++ {
		tag := strconv.FormatUint(n, 36)
		if at := &tags[crc16(tag)%slots]; *at == "" {
			*at = tag
			left--
		}
	}
	return tags
})

// CompanionKey returns the key of something that has to be in the slot of
// stream: "beamredis:{tag}:" and name. The tag comes from a table, because a
// key in braces loses its slot where it holds a "}" itself. name tells
// everything of the stream apart that must not be mixed up; the tag does not.
func CompanionKey(stream, name string) string {
	return "beamredis:{" + slotTags()[slotOf(stream)] + "}:" + name
}
