package interop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"redoubt/internal/redistest"
)

// A library of task queues, whose scripts move tasks between lists, sorted sets and
// hashes, works unchanged.
func TestAsynqOnASingleNode(t *testing.T) {
	t.Parallel()
	asynqWork(t, asynq.RedisClientOpt{Addr: start(t, ours()).Addr()})
}

// asynqOnCluster is the same on a cluster, on which a queue is in one slot.
func asynqOnCluster(t *testing.T, addrs []string) {
	asynqWork(t, asynq.RedisClusterClientOpt{Addrs: addrs[:2]})
}

// silent is where the library logs to.
type silent struct{}

func (silent) Debug(...any) {}
func (silent) Info(...any)  {}
func (silent) Warn(...any)  {}
func (silent) Error(...any) {}
func (silent) Fatal(...any) {}

// handled is how often tasks were handled, by their payload.
type handled struct {
	mu    sync.Mutex
	times map[string]int
}

// handle fails a task of a type in the first runs of it.
func (h *handled) handle(_ context.Context, task *asynq.Task) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := string(task.Payload())
	h.times[name]++
	fails := map[string]int{"fails twice": 2, "fails once": 1}[task.Type()]
	if h.times[name] <= fails {
		return fmt.Errorf("failure %d", h.times[name])
	}
	if w := task.ResultWriter(); w != nil {
		_, err := w.Write([]byte("result of " + name))
		return err
	}
	return nil
}

// until waits until a task was handled so often.
func (h *handled) until(t *testing.T, name string, times int) {
	t.Helper()
	redistest.Until(t, settle, fmt.Sprintf("%s is handled", name), func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if n := h.times[name]; n != times {
			return fmt.Errorf("%d times, want %d", n, times)
		}
		return nil
	})
}

// queues is what the work is done with.
type queues struct {
	t         *testing.T
	client    *asynq.Client
	inspector *asynq.Inspector
	handled
}

func (q *queues) must(err error) {
	q.t.Helper()
	if err != nil {
		q.t.Fatal(err)
	}
}

func (q *queues) enqueue(kind, name string, opts ...asynq.Option) {
	q.t.Helper()
	_, err := q.client.Enqueue(asynq.NewTask(kind, []byte(name)), opts...)
	q.must(err)
}

// state waits until a task is in a state.
func (q *queues) state(queue, id string, want asynq.TaskState) *asynq.TaskInfo {
	q.t.Helper()
	var info *asynq.TaskInfo
	redistest.Until(q.t, settle, fmt.Sprintf("%s is %v", id, want), func() (err error) {
		if info, err = q.inspector.GetTaskInfo(queue, id); err == nil && info.State != want {
			err = fmt.Errorf("it is %v", info.State)
		}
		return err
	})
	return info
}

func asynqWork(t *testing.T, opt asynq.RedisConnOpt) {
	q := &queues{t: t, client: asynq.NewClient(opt), inspector: asynq.NewInspector(opt), handled: handled{times: map[string]int{}}}
	defer q.client.Close()
	defer q.inspector.Close()
	q.beforeTheServer()
	server := asynq.NewServer(opt, asynq.Config{
		Concurrency: 4, Queues: map[string]int{"default": 2, "other": 1},
		RetryDelayFunc:           func(int, error, *asynq.Task) time.Duration { return 0 },
		DelayedTaskCheckInterval: 100 * time.Millisecond, TaskCheckInterval: 50 * time.Millisecond,
		Logger: silent{},
	})
	q.must(server.Start(asynq.HandlerFunc(q.handle)))
	defer server.Shutdown()
	q.tasks()
	q.failures()
	q.later()
	q.uniqueTasks()
	q.queuesThemselves()
	q.periodic(opt)
}

// beforeTheServer looks at tasks that wait as nobody handles them.
func (q *queues) beforeTheServer() {
	q.enqueue("plain", "waits", asynq.TaskID("waits"))
	q.enqueue("plain", "deleted", asynq.TaskID("deleted"))
	pending, err := q.inspector.ListPendingTasks("default")
	if q.must(err); len(pending) != 2 {
		q.t.Errorf("%d tasks are pending, want 2", len(pending))
	}
	q.must(q.inspector.DeleteTask("default", "deleted"))
	if err := q.inspector.DeleteTask("default", "deleted"); !errors.Is(err, asynq.ErrTaskNotFound) {
		q.t.Errorf("to delete a task again: %v", err)
	}
}

func (q *queues) tasks() {
	q.until(q.t, "waits", 1)
	for i := range 50 {
		q.enqueue("plain", fmt.Sprint("task ", i), asynq.Queue([]string{"default", "other"}[i%2]))
	}
	for i := range 50 {
		q.until(q.t, fmt.Sprint("task ", i), 1)
	}
	q.enqueue("plain", "kept", asynq.TaskID("kept"), asynq.Retention(time.Hour))
	if info := q.state("default", "kept", asynq.TaskStateCompleted); string(info.Result) != "result of kept" {
		q.t.Errorf("the result is %q", info.Result)
	}
	if _, err := q.client.Enqueue(asynq.NewTask("plain", nil), asynq.TaskID("kept")); !errors.Is(err, asynq.ErrTaskIDConflict) {
		q.t.Errorf("another task of the same ID: %v", err)
	}
}

// failures are retried, and archived once they were often enough.
func (q *queues) failures() {
	q.enqueue("fails twice", "retried")
	q.until(q.t, "retried", 3)
	q.enqueue("fails once", "given up", asynq.TaskID("given up"), asynq.MaxRetry(0))
	if info := q.state("default", "given up", asynq.TaskStateArchived); info.LastErr != "failure 1" {
		q.t.Errorf("the last error is %q", info.LastErr)
	}
	q.must(q.inspector.RunTask("default", "given up"))
	q.until(q.t, "given up", 2)
}

// later are tasks with a time.
func (q *queues) later() {
	q.enqueue("plain", "soon", asynq.ProcessIn(200*time.Millisecond))
	q.until(q.t, "soon", 1)
	q.enqueue("plain", "tomorrow", asynq.TaskID("tomorrow"), asynq.ProcessIn(24*time.Hour))
	q.state("default", "tomorrow", asynq.TaskStateScheduled)
	scheduled, err := q.inspector.ListScheduledTasks("default")
	if q.must(err); len(scheduled) != 1 {
		q.t.Errorf("%d tasks are scheduled, want 1", len(scheduled))
	}
	n, err := q.inspector.RunAllScheduledTasks("default")
	if q.must(err); n != 1 {
		q.t.Errorf("%d tasks were made to run, want 1", n)
	}
	q.until(q.t, "tomorrow", 1)
}

// uniqueTasks are there once until they are done.
func (q *queues) uniqueTasks() {
	once := func() error {
		_, err := q.client.Enqueue(asynq.NewTask("plain", []byte("once")), asynq.Unique(time.Hour), asynq.ProcessIn(time.Hour))
		return err
	}
	q.must(once())
	if err := once(); !errors.Is(err, asynq.ErrDuplicateTask) {
		q.t.Errorf("the same task again: %v", err)
	}
	_, err := q.inspector.RunAllScheduledTasks("default")
	q.must(err)
	q.until(q.t, "once", 1)
	redistest.Until(q.t, settle, "the task may come again", once)
	_, err = q.inspector.DeleteAllScheduledTasks("default")
	q.must(err)
}

// queuesThemselves are paused, counted and removed.
func (q *queues) queuesThemselves() {
	q.must(q.inspector.PauseQueue("other"))
	q.enqueue("plain", "paused", asynq.Queue("other"), asynq.TaskID("paused"))
	info, err := q.inspector.GetQueueInfo("other")
	if q.must(err); !info.Paused || info.Pending != 1 || info.Processed != 25 || info.MemoryUsage <= 0 {
		q.t.Errorf("the queue is %+v", info)
	}
	q.must(q.inspector.UnpauseQueue("other"))
	q.until(q.t, "paused", 1)
	names, err := q.inspector.Queues()
	if q.must(err); len(names) != 2 {
		q.t.Errorf("the queues are %q", names)
	}
	q.enqueue("plain", "never", asynq.Queue("removed"))
	if err := q.inspector.DeleteQueue("removed", false); !errors.Is(err, asynq.ErrQueueNotEmpty) {
		q.t.Errorf("to remove a queue with a task: %v", err)
	}
	q.must(q.inspector.DeleteQueue("removed", true))
	servers, err := q.inspector.Servers()
	if q.must(err); len(servers) != 1 || servers[0].Concurrency != 4 {
		q.t.Errorf("the servers are %+v", servers)
	}
}

// periodic are tasks that a scheduler enqueues.
func (q *queues) periodic(opt asynq.RedisConnOpt) {
	s := asynq.NewScheduler(opt, &asynq.SchedulerOpts{Logger: silent{}})
	id, err := s.Register("@every 1s", asynq.NewTask("plain", []byte("tick")))
	q.must(err)
	q.must(s.Start())
	defer s.Shutdown()
	redistest.Until(q.t, settle, "the clock ticks", func() error {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.times["tick"] == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	redistest.Until(q.t, settle, "the inspector knows", func() error {
		events, err := q.inspector.ListSchedulerEnqueueEvents(id)
		if err == nil && len(events) == 0 {
			err = errors.New("of no tick")
		}
		return err
	})
}
