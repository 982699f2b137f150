package interop

import (
	"fmt"
	"testing"

	"redoubt/internal/redistest"
)

// Jobs go through three queues, at each of which workers wait. Every job arrives
// once, and the stream tells replicas of both kinds the same.
func TestQueuesOfWaitingWorkers(t *testing.T) {
	t.Parallel()
	const jobs, workers = 600, 4
	primary := replicates(t, ours(), "--save", "")
	replicas := []*redistest.Server{following(t, redistest.Redis, primary), following(t, ours(), primary)}
	inStep(t, primary, replicas...)

	failed := make(chan error, 3*workers)
	// work runs a command until it returns the last job.
	work := func(last func(reply any) bool, command ...any) {
		c := primary.Client()
		go func() {
			for {
				reply, err := c.Do(command...)
				if err != nil || reply == nil {
					failed <- fmt.Errorf("%v: %v, %v", command, reply, err)
					return
				}
				if last(reply) {
					failed <- nil
					return
				}
			}
		}()
	}
	const stop = "stop"
	arrived := make(chan string, jobs+workers)
	for range workers {
		work(func(reply any) bool { return reply == stop }, "BLMOVE", "jobs", "moved", "LEFT", "RIGHT", 60)
		forward := primary.Client()
		work(func(reply any) bool {
			job := fmt.Sprint(reply.([]any)[1])
			if _, err := forward.Do("ZADD", "sorted", 1, job); err != nil {
				t.Error(err)
			}
			return job == stop
		}, "BLPOP", "moved", "another", 60)
		work(func(reply any) bool {
			job := fmt.Sprint(reply.([]any)[1])
			arrived <- job
			return job == stop
		}, "BZPOPMIN", "nothing", "sorted", 60)
	}

	c := primary.Client()
	for i := 0; i < jobs; {
		push := []any{"RPUSH", "jobs"}
		for range 1 + i%7 {
			push = append(push, fmt.Sprint("job:", i))
			i++
		}
		if i%3 == 0 {
			// What a transaction pushes is served when it ends.
			if _, err := c.Pipeline([]any{"MULTI"}, push, []any{"INCR", "pushes"}, []any{"EXEC"}); err != nil {
				t.Fatal(err)
			}
		} else if _, err := c.Do(push...); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]int{}
	for len(seen) < jobs {
		select {
		case job := <-arrived:
			seen[job]++
		case err := <-failed:
			t.Fatalf("%d of %d jobs have arrived: %v", len(seen), jobs, err)
		}
	}
	for job, times := range seen {
		if times != 1 {
			t.Errorf("%s has arrived %d times", job, times)
		}
	}
	// One member of a sorted set stops one worker; the others get theirs when it
	// is gone.
	for range workers {
		if _, err := c.Do("RPUSH", "jobs", stop); err != nil {
			t.Fatal(err)
		}
		<-arrived
	}
	for range 3 * workers {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	if left := primary.Do("EXISTS", "jobs", "moved", "sorted"); left != int64(0) {
		t.Errorf("%v queues are left", left)
	}
	inStep(t, primary, replicas...)
}
