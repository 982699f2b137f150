package sentinel

import "time"

// A Sentinel that stood still, because its process was stopped or its machine
// was, finds all replies overdue. It does not know whether the others failed or
// it did, so it stops to judge for a while: TILT mode. The original looks for
// jumps of the wall clock; here time is monotonic, and what counts is by how
// much a Step came late.

// hesitation is how late a Step may be until nobody is judged before the
// replies that have arrived in the meantime can have been read. Shorter pauses
// than the TILT trigger so do not make others look down.
const hesitation = 200 * time.Millisecond

// checkClock enters and leaves TILT mode. (sentinelCheckTiltCondition)
func (n *Node) checkClock() {
	if !n.deadline.IsZero() {
		late := n.now.Sub(n.deadline)
		switch {
		case late > n.cfg.Timing.TiltTrigger:
			n.enterTilt()
		case late > hesitation:
			n.judgeFrom = n.now.Add(hesitation)
		}
		if late > hesitation {
			n.touchDue() // whatever the event: the next of those that waited is not late
		}
	}
	if n.tilt && n.since(n.tiltSince) >= n.cfg.Timing.TiltPeriod {
		n.tilt = false
		n.notify(LevelWarning, "-tilt", nil, "#tilt mode exited")
		n.touchAll()
	}
}

func (n *Node) enterTilt() {
	if !n.tilt {
		n.tilts++
	}
	n.tilt, n.tiltSince = true, n.now
	n.notify(LevelWarning, "+tilt", nil, "#tilt mode entered")
}

// mayJudge reports whether others may be found down, or connections dead.
func (n *Node) mayJudge() bool { return !n.tilt && !n.now.Before(n.judgeFrom) }

// setDeadline finds out when the next Tick is needed.
func (n *Node) setDeadline() {
	var a alarm
	if len(n.queue) > 0 {
		a.by(n.queue[0].slot().due)
	}
	if n.tilt {
		a.by(n.tiltSince.Add(n.cfg.Timing.TiltPeriod))
	}
	n.deadline = a.at
}
