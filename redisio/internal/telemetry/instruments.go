package telemetry

// What the source counts, for each partition.
var (
	EntriesRead   = newCounter(Namespace, "entries_read", "{entry}", "entries emitted for the first time")
	BytesRead     = newCounter(Namespace, "bytes_read", "By", "bytes of the entries emitted, as the server sent them")
	Redelivered   = newCounter(Namespace, "entries_redelivered", "{entry}", "entries emitted again: pending ones of earlier consumers, and those after a restored position")
	Acknowledged  = newCounter(Namespace, "entries_acknowledged", "{entry}", "entries acknowledged, so that they are no longer pending")
	AckFailures   = newCounter(Namespace, "ack_failures", "{failure}", "acknowledgements given up after retries; a later bundle repairs them")
	GapsHealed    = newCounter(Namespace, "gaps_healed", "{entry}", "entries that another reader of the group took, read all the same")
	Skipped       = newCounter(Namespace, "entries_skipped", "{entry}", "entries delivered again at or before the position")
	Lost          = newCounter(Namespace, "entries_lost", "{entry}", "entries trimmed or deleted before they were read, as far as the server counts them")
	LossesUnknown = newCounter(Namespace, "losses_uncounted", "{loss}", "times that a loss is possible and the server cannot tell how large")
	Replaced      = newCounter(Namespace, "streams_replaced", "{stream}", "streams found deleted and made anew, or set back")
	GroupsHealed  = newCounter(Namespace, "groups_healed", "{group}", "groups found missing and made again")
	DeadLetters   = newCounter(Namespace, "read_dead_letters", "{entry}", "entries that could not be delivered, and became dead letters")
	ReadRetries   = newCounter(Namespace, "read_retries", "{retry}", "turns that ended early because Redis could not be reached")
)

// What the source knows of each partition at the end of its latest turn.
var (
	Lag          = newGauge("lag", "{entry}", "entries of the partition that wait to be read")
	AcksPending  = newGauge("acks_pending", "{entry}", "entries that this worker has emitted and not acknowledged yet")
	WatermarkAge = newGauge("watermark_age", "ms", "how far the partition's watermark is behind the server's clock")
)

// What the sinks count, for each command that they write with.
var (
	Written          = newCounter(WriteNamespace, "written", "{element}", "elements written, and entries added to error streams")
	WriteDeadLetters = newCounter(WriteNamespace, "dead_letters", "{element}", "elements that could never be written, and became dead letters")
	WriteRetries     = newCounter(WriteNamespace, "retries", "{element}", "elements sent again, once for each time")
	Repeated         = newCounter(WriteNamespace, "repeated", "{element}", "elements that an idempotent sink found written, and left out")
)

// What the sinks observe of each flush.
var (
	FlushLatency = newHistogram(WriteNamespace, "flush_latency", "us", "time from a batch's first attempt until all of it was written or given up",
		100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 5_000_000, 60_000_000)
	BatchSize = newHistogram(WriteNamespace, "batch_size", "{element}", "elements in a batch",
		1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
)

// Rare are the counters of what hardly ever happens, of the source, of reading
// ranges and of the sinks, for [Begin].
var (
	RangeRare = []*Counter{DeadLetters, LossesUnknown}
	Rare      = []*Counter{Redelivered, AckFailures, GapsHealed, Skipped, Lost, LossesUnknown, Replaced, GroupsHealed, DeadLetters, ReadRetries}
	WriteRare = []*Counter{WriteDeadLetters, WriteRetries, Repeated}
)
