package sdf

import (
	"context"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

// pages reads a range page by page, the next one while one is being emitted.
// It holds two at most, of about 1 MiB each, within the process's budget.
type pages struct {
	client *rdb.Client
	cfg    *RangeConfig
	tr     *RangeTracker
	of     Range

	size  entrySize
	asked message.EntryID // everything up to here was asked for
	ended bool            // there are no more
	ahead chan pageReply
	held  int // bytes taken from the budget
	where telemetry.Where
	told  bool // that entries may be missing
}

type pageReply struct {
	page  rdb.Page
	after message.EntryID // what was asked for
	err   error
}

func newPages(client *rdb.Client, cfg *RangeConfig, tr *RangeTracker, of Range) *pages {
	p := &pages{client: client, cfg: cfg, tr: tr, of: of, asked: tr.left().After, where: telemetry.Of{Stream: of.Stream}.Where()}
	telemetry.Begin(context.Background(), p.where, telemetry.RangeRare...)
	p.size.look(of.MostBytes)
	if of.EntryBytes > 0 && of.Entries > fetchEntries {
		// The plan has looked at many entries: the first page can be a full one.
		p.size.observe(int(of.EntryBytes*fetchEntries), fetchEntries)
	}
	return p
}

// next returns the next page; without entries where the range is at its end.
func (p *pages) next(ctx context.Context) (rdb.Page, error) {
	p.hold(0)
	if p.ended {
		return rdb.Page{}, nil
	}
	if p.ahead == nil {
		p.ask(ctx)
	}
	var got pageReply
	select {
	case got = <-p.ahead:
		p.ahead = nil
	case <-ctx.Done():
		return rdb.Page{}, context.Cause(ctx)
	}
	if got.err != nil {
		return rdb.Page{}, got.err
	}
	p.hold(got.page.Bytes)
	if err := p.checkLoss(ctx, got); err != nil {
		return rdb.Page{}, err
	}
	n := len(got.page.Entries)
	if n == 0 {
		p.ended = true
		return got.page, nil
	}
	p.size.observe(got.page.Bytes, n)
	p.asked = got.page.Entries[n-1].ID
	if p.tr.left().To.Compare(p.asked) <= 0 {
		p.ended = true // the rest was split off, or this is all
	} else if mayFetchAhead(fetchTarget) {
		p.ask(ctx)
	}
	return got.page, nil
}

// ask has the page after the last one fetched.
func (p *pages) ask(ctx context.Context) {
	after, to, count := p.asked, p.tr.left().To, p.size.count()
	reply := make(chan pageReply, 1)
	p.ahead = reply
	p.hold(p.held + int(float64(count)*p.size.mean))
	go func() {
		got := pageReply{after: after}
		got.err = p.client.RetryFor(ctx, p.cfg.RetryFor, func(ctx context.Context) (err error) {
			got.page, err = p.client.PageFromReplica(ctx, p.of.Stream, after, to, rdb.Reached{Last: p.of.Last, Added: p.of.Added}, count)
			return err
		})
		reply <- got
	}()
}

// settle waits for the next page before the last entry of the one before is
// emitted, also where there is no budget to fetch ahead: a consumer that deletes
// what it got cannot have deleted that one by then, so that if it is gone,
// trimming has come as far.
func (p *pages) settle(ctx context.Context) {
	if p.ended {
		return
	}
	if p.ahead == nil {
		p.ask(ctx)
	}
	select {
	case got := <-p.ahead:
		p.ahead <- got // which next takes
	case <-ctx.Done(): // which next tells
	}
}

// hold says how many bytes are held from now on.
func (p *pages) hold(bytes int) {
	fetchedBytes.Add(int64(bytes - p.held))
	p.held = bytes
}
