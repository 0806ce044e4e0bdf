package org.apache.beam.runners.fnexecution.control;

import java.util.List;
import org.apache.beam.model.fnexecution.v1.BeamFnApi.DelayedBundleApplication;
import org.apache.beam.model.fnexecution.v1.BeamFnApi.ProcessBundleResponse;
import org.apache.beam.runners.core.StateInternals;
import org.apache.beam.runners.core.StateInternalsFactory;
import org.apache.beam.runners.core.StateNamespace;
import org.apache.beam.runners.core.StateNamespaces;
import org.apache.beam.runners.core.StateTags;
import org.apache.beam.runners.core.TimerInternals;
import org.apache.beam.runners.core.TimerInternalsFactory;
import org.apache.beam.sdk.coders.Coder;
import org.apache.beam.sdk.coders.CoderException;
import org.apache.beam.sdk.state.TimeDomain;
import org.apache.beam.sdk.transforms.windowing.BoundedWindow;
import org.apache.beam.sdk.util.CoderUtils;
import org.apache.beam.sdk.util.WindowedValue;
import org.joda.time.Instant;

/**
 * Takes the place of the class of the same name in Beam 2.62, on the cluster that scripts/flink
 * starts, because that one gives every residual of a splittable DoFn a state of a new name. Flink
 * keeps each name for the life of the job, so that heap and checkpoints grow with every bundle
 * (github.com/apache/beam/issues/27648). Here the names are used in turns.
 *
 * <p>A name may come again while the residual that used it before still waits, which then would be
 * lost, only if {@link #NAMES} other bundles of the subtask end meanwhile and the two residuals
 * belong to equal elements. A Read has one residual for each partition, and its partitions differ.
 */
@SuppressWarnings({"rawtypes", "unchecked"}) // as the class that it replaces
public class BundleCheckpointHandlers {

  /** Names that a subtask uses in turns. */
  private static final int NAMES = 16;

  /** Writes residuals to keyed state, and sets timers on which the operator reads them. */
  public static class StateAndTimerBundleCheckpointHandler<T> implements BundleCheckpointHandler {

    public static final String SDF_PREFIX = "sdf_checkpoint";

    private final TimerInternalsFactory<T> timers;
    private final StateInternalsFactory<T> states;
    private final Coder<WindowedValue<T>> residualCoder;
    private final Coder windowCoder;
    private int bundles;

    public StateAndTimerBundleCheckpointHandler(
        TimerInternalsFactory<T> timers,
        StateInternalsFactory<T> states,
        Coder<WindowedValue<T>> residualCoder,
        Coder windowCoder) {
      this.timers = timers;
      this.states = states;
      this.residualCoder = residualCoder;
      this.windowCoder = windowCoder;
    }

    /** Tells whether a timer is one of those set here. */
    public static boolean isSdfTimer(String timerId) {
      return timerId.startsWith(SDF_PREFIX);
    }

    @Override
    public void onCheckpoint(ProcessBundleResponse response) {
      bundles = (bundles + 1) % NAMES;
      List<DelayedBundleApplication> residuals = response.getResidualRootsList();
      for (int i = 0; i < residuals.size(); i++) {
        if (residuals.get(i).hasApplication()) {
          keep(SDF_PREFIX + ":" + bundles + ":" + i, residuals.get(i));
        }
      }
    }

    private void keep(String name, DelayedBundleApplication residual) {
      WindowedValue<T> value = decode(residual);
      TimerInternals timer = timers.timerInternalsForKey(value.getValue());
      StateInternals state = states.stateInternalsForKey(value.getValue());
      Instant due = Instant.now().plus(residual.getRequestedTimeDelay().getSeconds() * 1000);
      Instant hold = hold(residual);
      for (BoundedWindow window : value.getWindows()) {
        StateNamespace namespace = StateNamespaces.window(windowCoder, window);
        timer.setTimer(namespace, name, "", due, hold, TimeDomain.PROCESSING_TIME);
        state
            .state(namespace, StateTags.value(name, residualCoder))
            .write(WindowedValue.of(value.getValue(), value.getTimestamp(), window, value.getPane()));
      }
    }

    private WindowedValue<T> decode(DelayedBundleApplication residual) {
      try {
        return CoderUtils.decodeFromByteArray(
            residualCoder, residual.getApplication().getElement().toByteArray());
      } catch (CoderException e) {
        throw new IllegalStateException("a residual cannot be decoded", e);
      }
    }

    /** The time at which the residual holds the watermark: the earliest that an output has. */
    private static Instant hold(DelayedBundleApplication residual) {
      return residual.getApplication().getOutputWatermarksMap().values().stream()
          .map(w -> Instant.ofEpochSecond(w.getSeconds()).plus(w.getNanos() / 1_000_000))
          .min(Instant::compareTo)
          .orElse(BoundedWindow.TIMESTAMP_MIN_VALUE);
    }
  }
}
