package redisio

import (
	"errors"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/internal/finalize"
	"example.com/beamredis/redisio/sdf"
)

// Read reads a topic through a consumer group, without end unless an option
// bounds it, and returns a PCollection of [Message]. A group that does not
// exist is created, by default at the streams' ends ([WithStart]); one that
// exists continues where it stands, after what earlier consumers of the same
// name left pending.
//
// Order within a partition is kept. One job reads a group: a second one is
// noticed, counted and warned about, and both get everything.
//
// Event times are those of the entry IDs, unless [WithEventTime] or
// [WithEventTimeField] say otherwise; the watermark follows the server's clock
// and is exact for IDs that the server assigns.
//
// Where an entry cannot be delivered (its event time cannot be told) the
// bundle fails, unless [WithErrorStream] names a place for it; see also
// [ReadWithFailed].
//
// Read panics if the configuration is wrong; see [TryRead].
func Read(s beam.Scope, c Conn, t Topic, group string, opts ...ReadOption) beam.PCollection {
	return must(TryRead(s, c, t, group, opts...))
}

// TryRead is [Read], but returns an error that names every mistake in the
// configuration.
func TryRead(s beam.Scope, c Conn, t Topic, group string, opts ...ReadOption) (beam.PCollection, error) {
	cfg, err := readConfig(s, c, t, group, false, opts)
	if err != nil {
		return beam.PCollection{}, err
	}
	msgs, failed := read(s, t, cfg)
	anchor(scope(s, "Read"), failed)
	return msgs, nil
}

// ReadWithFailed is [Read] with a second PCollection, of [DeadLetter]: entries
// that could not be delivered, because their event time cannot be told or
// because they have reached the delivery limit ([WithDeliveryLimit]).
//
// ReadWithFailed panics if the configuration is wrong; see
// [TryReadWithFailed].
func ReadWithFailed(s beam.Scope, c Conn, t Topic, group string, opts ...ReadOption) (msgs, failed beam.PCollection) {
	msgs, failed, err := TryReadWithFailed(s, c, t, group, opts...)
	if err != nil {
		panic(err)
	}
	return msgs, failed
}

// TryReadWithFailed is [ReadWithFailed], but returns an error that names every
// mistake in the configuration.
func TryReadWithFailed(s beam.Scope, c Conn, t Topic, group string, opts ...ReadOption) (msgs, failed beam.PCollection, err error) {
	cfg, err := readConfig(s, c, t, group, true, opts)
	if err != nil {
		return beam.PCollection{}, beam.PCollection{}, err
	}
	msgs, failed = read(s, t, cfg)
	return msgs, failed, nil
}

// readConfig collects every mistake before it gives up.
func readConfig(s beam.Scope, c Conn, t Topic, group string, collectFailed bool, opts []ReadOption) (sdf.Config, error) {
	cfg := sdf.Defaults()
	cfg.Conn, cfg.Topic, cfg.Group, cfg.CollectFailed = c, t, group, collectFailed
	errs := []error{validScope(s), c.Validate(), t.Validate(), notEmpty("group", group)}
	for _, o := range opts {
		errs = append(errs, o.applyRead(&cfg))
	}
	errs = append(errs, checkTogether(&cfg)...)
	if cfg.FollowEventTimes && cfg.IdleAdvance == 0 {
		cfg.IdleAdvance = time.Minute
	}
	errs = append(errs, checkErrorStream(cfg.ErrorStream, t, "read"))
	return cfg, errors.Join(errs...)
}

// checkTogether finds the options that do not go together, in whatever order
// they were given.
func checkTogether(cfg *sdf.Config) (errs []error) {
	if cfg.StopAtLatest && cfg.StopAt != nil {
		errs = append(errs, errors.New("WithStopAtLatest excludes WithStopAt and WithStopAtTime"))
	}
	if cfg.EventTimeField != "" && cfg.EventTimeFn != nil {
		errs = append(errs, errTwoEventTimes)
	}
	errs = append(errs, checkWatermark(cfg)...)
	if cfg.DeliveryLimit > 0 && cfg.Ack == NoAck {
		errs = append(errs, errors.New("WithDeliveryLimit: with no-ack the server does not count deliveries"))
	}
	if cfg.DeliveryLimit > 0 && cfg.ErrorStream == "" && !cfg.CollectFailed {
		errs = append(errs, errors.New("WithDeliveryLimit: entries beyond the limit need a place to go: use ReadWithFailed, or WithErrorStream"))
	}
	return errs
}

func checkWatermark(cfg *sdf.Config) (errs []error) {
	if !cfg.FollowEventTimes {
		if cfg.IdleAdvance != 0 {
			errs = append(errs, errors.New("WithIdleAdvance needs WithOutOfOrderness: without it, an idle partition's watermark follows the server's clock at once"))
		}
		return errs
	}
	if cfg.EventTimeField == "" && cfg.EventTimeFn == nil {
		errs = append(errs, errors.New("WithOutOfOrderness: entry IDs come in order; it is for WithEventTime and WithEventTimeField"))
	}
	if cfg.Skew != 0 {
		errs = append(errs, errors.New("WithOutOfOrderness and WithWatermarkSkew exclude each other"))
	}
	return errs
}

// read makes one element of each partition and reads them. Each stays one
// element, whose restriction is never split, because the order of a partition
// depends on it.
func read(s beam.Scope, t Topic, cfg sdf.Config) (msgs, failed beam.PCollection) {
	finalize.Enable()
	warnOfBeamsFlink()
	s = scope(s, "Read")
	parts := beam.CreateList(s, sdf.Place(t.Parts(), keyGroups()))
	return beam.ParDo2(s, &sdf.ReadFn{Config: cfg}, parts)
}
