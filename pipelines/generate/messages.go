package main

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"time"

	"example.com/beamredis/redisio/message"
)

// messages returns the messages that the settings describe, always the same.
func (s *settings) messages() iter.Seq[message.Message] {
	return func(yield func(message.Message) bool) {
		random := rand.New(rand.NewPCG(s.seed, 0))
		names := fieldNames(s.fields)
		for i := range s.count {
			if !yield(s.message(random, names, i)) {
				return
			}
		}
	}
}

func fieldNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("field-%d", i+1)
	}
	return names
}

func (s *settings) message(random *rand.Rand, names []string, number int64) message.Message {
	fields := make([]message.Field, 1, len(names)+1)
	fields[0] = message.Field{Name: "seq", Value: strconv.FormatInt(number, 10)}
	for _, name := range names {
		fields = append(fields, message.Field{Name: name, Value: text(random, s.size)})
	}
	return message.Message{Key: "key-" + strconv.Itoa(random.IntN(s.keys)), Fields: fields}
}

// letters are 64, so that six random bits choose one.
const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

func text(random *rand.Rand, size int) string {
	const perDraw = 64 / 6
	b := make([]byte, size)
	var bits uint64
	for i := range b {
		if i%perDraw == 0 {
			bits = random.Uint64()
		}
		b[i] = letters[bits%64]
		bits /= 64
	}
	return string(b)
}

// slack is how far messages may be ahead of their time: waiting for each one
// would limit the rate to the resolution of timers.
const slack = 2 * time.Millisecond

// paced yields msgs at rate per second, evenly from the start, and stops when
// ctx ends. A rate of 0 is no limit.
func paced(ctx context.Context, rate float64, msgs iter.Seq[message.Message]) iter.Seq[message.Message] {
	return func(yield func(message.Message) bool) {
		start := time.Now()
		n := 0
		for m := range msgs {
			if rate > 0 {
				waitFor(ctx, start.Add(due(n, rate)))
			}
			if ctx.Err() != nil || !yield(m) {
				return
			}
			n++
		}
	}
}

// due is when message n is to leave, counted from the start.
func due(n int, rate float64) time.Duration {
	return time.Duration(float64(n) / rate * float64(time.Second))
}

// waitFor returns at t less slack, or when ctx ends.
func waitFor(ctx context.Context, t time.Time) {
	early := time.Until(t)
	if early <= slack {
		return
	}
	timer := time.NewTimer(early)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
