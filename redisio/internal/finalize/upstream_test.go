package finalize

import (
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
)

// betweenBundles is more than Prism needs to finalize a bundle: so the next one finds the plan of the one before free again, and uses it.
const betweenBundles = 20 * time.Millisecond

func TestBeamsOwnCallbackStillMissesBundles(t *testing.T) {
	hooks.DisableHook(hookName)
	const n = 20
	name := newJob(t)
	j, err := runJob(t, &source{Job: name, Entries: n, FailAt: -1, Idle: true, Delay: betweenBundles}, &ownCallback{Job: name})
	if err != nil {
		t.Fatal(err)
	}
	registered, called := j.ownCallbacks(t)
	if registered != n {
		t.Fatalf("%d callbacks were registered in %d bundles, want one each", registered, n)
	}
	if called == registered {
		t.Fatalf("GOOD NEWS: Beam ran all of the %d callbacks that were registered with BundleFinalization.RegisterCallback. Its bug is mended: "+
			"remove package finalize and register with Beam", registered)
	}
	t.Logf("Beam ran %d of %d callbacks", called, registered)
}

// Beam runs the callback of the first bundle of every plan. The hook must not take that from the user.
func TestUsersOwnCallbackRunsAsOftenAsWithoutTheHook(t *testing.T) {
	for setting, hook := range map[string]bool{"with the hook": true, "without": false} {
		t.Run(setting, func(t *testing.T) {
			if Enable(); !hook {
				hooks.DisableHook(hookName)
			}
			const n = 20
			name := newJob(t)
			j, err := runJob(t, &source{Job: name, Entries: n, FailAt: -1, Delay: betweenBundles}, &ownCallback{Job: name})
			if err != nil {
				t.Fatal(err)
			}
			registered, called := j.ownCallbacks(t)
			if registered != n || called == 0 {
				t.Errorf("%d callbacks were registered and %d ran, want %d and at least one", registered, called, n)
			}
			wantCommitted := 0
			if hook {
				wantCommitted = n
			}
			if len(j.committed) != wantCommitted {
				t.Errorf("%d bundles were committed through the hook, want %d", len(j.committed), wantCommitted)
			}
		})
	}
}

// ownCallbacks sums over the plans. It fails the test if a plan had callbacks and none of them ran.
func (j *job) ownCallbacks(t *testing.T) (registered, called int) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, plan := range j.instances {
		if plan.registered > 0 && plan.called == 0 {
			t.Errorf("plan %d of %d registered %d callbacks, and none ran", i+1, len(j.instances), plan.registered)
		}
		registered += plan.registered
		called += plan.called
	}
	return registered, called
}
