package schedule

import (
	"strings"
	"testing"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

const berlin = "Europe/Berlin"

func windows(of ...v1alpha1.Window) []v1alpha1.Window { return of }

func window(start, end string, on ...v1alpha1.Day) v1alpha1.Window {
	return v1alpha1.Window{Days: on, Start: start, End: end}
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	out, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOpen(t *testing.T) {
	everyDay := []v1alpha1.Day{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
	work := windows(window("08:00", "18:00", "Mon", "Tue", "Wed", "Thu", "Fri"))
	night := windows(window("22:00", "06:00", "Fri"))
	for _, c := range []struct {
		name    string
		zone    string
		windows []v1alpha1.Window
		at      string
		want    bool
	}{
		{"before it opens", berlin, work, "2026-11-23T06:59:59Z", false},
		{"as it opens", berlin, work, "2026-11-23T07:00:00Z", true},
		{"before it closes", berlin, work, "2026-11-23T16:59:59Z", true},
		{"as it closes", berlin, work, "2026-11-23T17:00:00Z", false},
		{"an hour earlier in summer", berlin, work, "2026-07-20T06:00:00Z", true},
		{"on another day", berlin, work, "2026-11-22T12:00:00Z", false},
		{"the day of the zone counts", "Pacific/Auckland", windows(window("00:00", "06:00", "Mon")), "2026-11-22T12:00:00Z", true},
		{"over midnight, in the evening of its day", "UTC", night, "2026-11-20T23:00:00Z", true},
		{"over midnight, in the morning after", "UTC", night, "2026-11-21T05:59:00Z", true},
		{"over midnight, as it closes", "UTC", night, "2026-11-21T06:00:00Z", false},
		{"over midnight, in the morning of its day", "UTC", night, "2026-11-20T05:00:00Z", false},
		{"over the end of the week", "UTC", windows(window("22:00", "06:00", "Sat")), "2026-11-22T05:00:00Z", true},
		{"to the end of the day", "UTC", windows(window("18:00", "24:00", "Fri")), "2026-11-20T23:59:59Z", true},
		{"not over the end of the day", "UTC", windows(window("18:00", "24:00", "Fri")), "2026-11-21T00:00:00Z", false},
		{"the whole day", "UTC", windows(window("00:00", "24:00", "Fri")), "2026-11-20T00:00:00Z", true},
		{"until midnight of the day after, which is the same", "UTC", windows(window("18:00", "00:00", "Fri")), "2026-11-21T00:00:00Z", false},
		{"overlapping windows are their union", "UTC", windows(window("08:00", "12:00", "Fri"), window("10:00", "14:00", "Fri")), "2026-11-20T13:00:00Z", true},
		{"the hour that spring leaves out does not come", berlin, windows(window("02:00", "03:00", everyDay...)), "2026-03-29T01:00:00Z", false},
		{"the minute before it is in the hour before", berlin, windows(window("01:00", "02:00", everyDay...)), "2026-03-29T00:59:59Z", true},
		{"a window over the gap is a short one", berlin, windows(window("01:30", "03:30", everyDay...)), "2026-03-29T01:29:59Z", true},
		{"and closes by the wall", berlin, windows(window("01:30", "03:30", everyDay...)), "2026-03-29T01:30:00Z", false},
		{"the hour that autumn repeats counts the first time", berlin, windows(window("02:00", "03:00", everyDay...)), "2026-10-25T00:30:00Z", true},
		{"and the second time", berlin, windows(window("02:00", "03:00", everyDay...)), "2026-10-25T01:30:00Z", true},
		{"and no third time", berlin, windows(window("02:00", "03:00", everyDay...)), "2026-10-25T02:00:00Z", false},
		{"an unknown zone", "Europe/Atlantis", work, "2026-11-23T12:00:00Z", false},
		{"a machine's own zone", "Local", work, "2026-11-23T12:00:00Z", false},
		{"no zone", "", work, "2026-11-23T12:00:00Z", false},
		{"a zone that is a path", "../../etc/passwd", work, "2026-11-23T12:00:00Z", false},
		{"an empty window spoils all", "UTC", append(windows(window("09:00", "09:00", "Mon")), work...), "2026-11-23T12:00:00Z", false},
		{"no windows", "UTC", nil, "2026-11-23T12:00:00Z", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Open(&v1alpha1.Schedule{TimeZone: c.zone, Windows: c.windows}, at(t, c.at)); got != c.want {
				t.Errorf("open %t", got)
			}
		})
	}
	if !Open(nil, time.Time{}) {
		t.Error("a schedule that is left out is not always open")
	}
	if Open(&v1alpha1.Schedule{TimeZone: "UTC", Windows: windows(window("00:00", "24:00", everyDay...))}, time.Time{}) {
		t.Error("it is open at no time")
	}
}

func TestValidate(t *testing.T) {
	many := make([]v1alpha1.Window, maxWindows+1)
	for name, c := range map[string]struct {
		schedule v1alpha1.Schedule
		want     string
	}{
		"unknown zone":    {v1alpha1.Schedule{TimeZone: "Europe/Atlantis", Windows: windows(window("08:00", "18:00", "Mon"))}, `timeZone: "Europe/Atlantis" is no zone`},
		"local zone":      {v1alpha1.Schedule{TimeZone: "Local", Windows: windows(window("08:00", "18:00", "Mon"))}, `timeZone: "Local" is no zone`},
		"no windows":      {v1alpha1.Schedule{TimeZone: "UTC"}, "windows: name at least one"},
		"too many":        {v1alpha1.Schedule{TimeZone: "UTC", Windows: many}, "windows: there are 33, at most 32"},
		"no days":         {v1alpha1.Schedule{TimeZone: "UTC", Windows: windows(window("08:00", "18:00"))}, "windows[0].days: name the days"},
		"no day":          {v1alpha1.Schedule{TimeZone: "UTC", Windows: windows(window("08:00", "18:00", "Monday"))}, `windows[0].days: "Monday" is no day`},
		"empty window":    {v1alpha1.Schedule{TimeZone: "UTC", Windows: windows(window("08:00", "08:00", "Mon"))}, "windows[0].end: a window from 08:00 to 08:00 is empty"},
		"starts at 24:00": {v1alpha1.Schedule{TimeZone: "UTC", Windows: windows(window("24:00", "18:00", "Mon"))}, `windows[0].start: "24:00" is no time`},
		"ends after it":   {v1alpha1.Schedule{TimeZone: "UTC", Windows: windows(window("08:00", "24:01", "Mon"))}, `windows[0].end: "24:01" is no time`},
		"minute 60":       {v1alpha1.Schedule{TimeZone: "UTC", Windows: windows(window("08:60", "18:00", "Mon"))}, `windows[0].start: "08:60" is no time`},
		"one digit":       {v1alpha1.Schedule{TimeZone: "UTC", Windows: windows(window("8:00", "18:00", "Mon"))}, `windows[0].start: "8:00" is no time`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Validate(&c.schedule); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if Open(&c.schedule, at(t, "2026-11-23T12:00:00Z")) || !NextChange(&c.schedule, at(t, "2026-11-23T12:00:00Z")).IsZero() {
				t.Error("it opens all the same")
			}
		})
	}
	if err := Validate(nil); err != nil {
		t.Errorf("no schedule: %v", err)
	}
	if err := Validate(&v1alpha1.Schedule{TimeZone: berlin, Windows: windows(window("08:00", "12:00", "Mon"), window("10:00", "18:00", "Mon"))}); err != nil {
		t.Errorf("overlapping windows: %v", err)
	}
}

func TestWithin(t *testing.T) {
	now := at(t, "2026-11-23T12:00:00Z")
	s := func(zone string, of ...v1alpha1.Window) *v1alpha1.Schedule {
		return &v1alpha1.Schedule{TimeZone: zone, Windows: of}
	}
	all := window("00:00", "24:00", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
	for _, c := range []struct {
		name         string
		inner, outer *v1alpha1.Schedule
		want         bool
	}{
		{"anything in none", s("UTC", all), nil, true},
		{"always in none", nil, nil, true},
		{"always in a schedule", nil, s("UTC", window("08:00", "18:00", "Mon")), false},
		{"always in one that is always open", nil, s("UTC", all), true},
		{"in another zone, in one that is always open", s(berlin, all), s("UTC", all), true},
		{"itself", s(berlin, window("08:00", "18:00", "Mon")), s(berlin, window("08:00", "18:00", "Mon")), true},
		{"a part", s(berlin, window("09:00", "17:00", "Mon")), s(berlin, window("08:00", "18:00", "Mon", "Tue")), true},
		{"a minute more", s(berlin, window("07:59", "18:00", "Mon")), s(berlin, window("08:00", "18:00", "Mon")), false},
		{"in windows that touch", s(berlin, window("08:00", "18:00", "Mon")), s(berlin, window("08:00", "12:00", "Mon"), window("12:00", "18:00", "Mon")), true},
		{"in windows with a minute between", s(berlin, window("08:00", "18:00", "Mon")), s(berlin, window("08:00", "12:00", "Mon"), window("12:01", "18:00", "Mon")), false},
		{"a night in a night and a morning", s("UTC", window("22:00", "06:00", "Sat")), s("UTC", window("22:00", "24:00", "Sat"), window("00:00", "06:00", "Sun")), true},
		{"another name of the zone", s("Europe/Busingen", window("08:00", "18:00", "Mon")), s("Europe/Zurich", window("08:00", "18:00", "Mon")), true},
		{"of a zone an hour away", s("Europe/London", window("08:00", "17:00", "Mon")), s(berlin, window("09:00", "18:00", "Mon")), true},
		{"and not half an hour less", s("Europe/London", window("08:00", "17:00", "Mon")), s(berlin, window("09:00", "17:30", "Mon")), false},
		{"where summer time starts weeks apart", s("America/New_York", window("08:00", "10:00", "Mon")), s(berlin, window("14:00", "16:00", "Mon")), false},
		{"with room for those weeks", s("America/New_York", window("08:00", "10:00", "Mon")), s(berlin, window("13:00", "16:00", "Mon")), true},
		{"a zone without summer time in one with it", s("UTC", window("08:00", "10:00", "Mon")), s(berlin, window("09:00", "11:00", "Mon")), false},
		{"an unknown zone is never open", s("Nowhere", all), s(berlin, window("09:00", "11:00", "Mon")), true},
		{"in an unknown zone", s(berlin, window("09:00", "11:00", "Mon")), s("Nowhere", all), false},
		{"always in an unknown zone", nil, s("Nowhere", all), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Within(c.inner, c.outer, now); got != c.want {
				t.Errorf("within: %t", got)
			}
		})
	}
	if Within(s("Europe/London", window("08:00", "17:00", "Mon")), s(berlin, window("09:00", "18:00", "Mon")), time.Time{}) {
		t.Error("different zones were compared at no time")
	}
}

func TestNextChange(t *testing.T) {
	s := &v1alpha1.Schedule{TimeZone: berlin, Windows: windows(window("01:30", "02:30", "Sun"), window("22:00", "06:00", "Fri"))}
	for _, c := range []struct{ name, at, want string }{
		{"opens", "2026-11-20T12:00:00Z", "2026-11-20T21:00:00Z"},
		{"closes", "2026-11-20T21:00:00Z", "2026-11-21T05:00:00Z"},
		{"closes where spring cuts it short", "2026-03-29T00:45:00Z", "2026-03-29T01:00:00Z"},
		{"closes where autumn repeats it", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"},
		{"and opens again", "2026-10-25T00:45:00Z", "2026-10-25T01:00:00Z"},
		{"and closes again", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := NextChange(s, at(t, c.at)); !got.Equal(at(t, c.want)) {
				t.Errorf("got %s, want %s", got.UTC(), c.want)
			}
		})
	}
	always := &v1alpha1.Schedule{TimeZone: berlin, Windows: windows(window("00:00", "24:00", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))}
	for name, got := range map[string]time.Time{"always": NextChange(always, at(t, "2026-11-20T12:00:00Z")), "none": NextChange(nil, at(t, "2026-11-20T12:00:00Z")), "no time": NextChange(s, time.Time{})} {
		if !got.IsZero() {
			t.Errorf("%s: changes at %s", name, got)
		}
	}
}
