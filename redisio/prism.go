package redisio

import (
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	register.Function1x0(discard)
}

func discard(DeadLetter) {}

// anchor gives the stage that reads an output which leaves it, on Prism only.
//
// While a bundle runs whose stage has no such output, as Read fused with Write
// has not, Prism (Beam 2.77, stage.Execute: a select on a channel that is
// closed from the start) spins and takes a whole core from the worker, which
// runs in the same process. Nothing is ever sent this way.
func anchor(s beam.Scope, failed beam.PCollection) {
	if runsOnPrism() {
		beam.ParDo0(s, discard, beam.Reshuffle(s, failed))
	}
}

// runsOnPrism goes by Beam's runner flag; Prism is its default.
func runsOnPrism() bool {
	r := runnerFlag()
	return r == "" || strings.HasPrefix(r, "prism")
}
