// Package finalize tells a DoFn when the runner has committed the bundle that the DoFn ran in.
//
// # Why Beam's own callback is not used
//
// Beam's Go SDK 2.77 offers beam.BundleFinalization and its RegisterCallback. An execution plan serves many bundles, one after another, but the
// finalizer that the plan hands to its nodes is replaced after the first finalization and the nodes keep the old one: callbacks
// registered from the second bundle on are never run, and pile up. TestBeamsOwnCallbackStillMissesBundles shows it, and fails as soon as Beam has mended it.
// From that day on this package can go, and its callers can register with Beam.
//
// # How it works
//
// A harness hook (Beam's package core/util/hooks) sees every instruction of the runner and every response. The Init hook puts a [Connection]
// into the context of a harness connection. A ProcessBundle request gets a [Bundle]; the DoFn finds it with [FromContext].
// If callbacks wait when the bundle has succeeded, its response asks the runner for finalization. When the runner's FinalizeBundle arrives, the
// callbacks are due: they leave for a queue of the connection. They never run inside a hook, because all hooks of a process
// share one lock.
//
// Runners look for a finalization parameter in the graph. So ProcessElement takes a beam.BundleFinalization, and does not use it.
//
// Everything hangs on the connection in the context, nothing on an instruction ID alone: in loopback mode several workers live in one
// process, and each of them counts its instructions from one.
//
// # What is kept, and who bounds it
//
// A callback lives until the runner finalizes its bundle, until the bundle fails, or until the connection ends. A runner that never finalizes would make
// them grow without end, so [Bundle.OnCommit] refuses more once [MaxWaiting] bundles of a connection wait. What a callback
// holds on to is its owner's to bound; [Connection.Waiting] and the answer of OnCommit help with that.
package finalize
