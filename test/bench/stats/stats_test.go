package stats_test

import (
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/test/bench/stats"
)

func TestPercentile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = 100 - i
	}
	for _, c := range []struct {
		name   string
		values []int
		p      float64
		want   int
	}{
		{"none", nil, 50, 0},
		{"one", []int{7}, 99, 7},
		{"the lowest", []int{3, 1, 2}, 0, 1},
		{"the highest", []int{3, 1, 2}, 100, 3},
		{"p50 of a hundred", hundred, 50, 50},
		{"p99 of a hundred is not the highest", hundred, 99, 99},
		{"p99 of ten is the highest", []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 99, 10},
	} {
		if got := stats.Percentile(c.values, c.p); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []time.Duration
		want   time.Duration
	}{
		{nil, 0},
		{[]time.Duration{5}, 5},
		{[]time.Duration{9, 1, 5}, 5},
		{[]time.Duration{9, 1, 5, 7}, 6},
	} {
		if got := stats.Median(c.values); got != c.want {
			t.Errorf("%v: got %d, want %d", c.values, got, c.want)
		}
	}
}

func TestMeasurementsKeepTheirOrder(t *testing.T) {
	values := []int{3, 1, 2}
	stats.Percentile(values, 50)
	stats.Median(values)
	if values[0] != 3 || values[1] != 1 || values[2] != 2 {
		t.Errorf("got %v", values)
	}
}

func TestRound(t *testing.T) {
	for in, want := range map[time.Duration]string{
		0:                                   "0s",
		123 * time.Nanosecond:               "123ns",
		1234567 * time.Nanosecond:           "1.23ms",
		2345 * time.Millisecond:             "2.35s",
		-45678 * time.Microsecond:           "-45.7ms",
		12345678901 * time.Nanosecond:       "12.3s",
		999999 * time.Nanosecond:            "1ms",
		time.Minute + 1234*time.Millisecond: "1m1.2s",
	} {
		if got := stats.Round(in).String(); got != want {
			t.Errorf("%d: got %s, want %s", in, got, want)
		}
	}
}
