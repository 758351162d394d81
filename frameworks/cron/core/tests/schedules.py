"""Writes random schedules and when they are due, by Python's zoneinfo and dateutil: an opinion of its own.

    schedules.py SEED SCHEDULES PART PARTS ZONES

Of the schedules with this seed it takes each PARTS-th from PART on, and each in the first ZONES zones, over the years 2010
to 2039: at every change of each zone's offset, at random moments, and, of those with few slots, all of them. Lines, times
in seconds since 1970:

    S KIND TEXT             a schedule: "interval" or "cron"
    Z ZONE CHANGES          it is looked at in this zone, which has so many changes
    N AFTER WANTED TIME...  the next slots after a moment, as many as wanted; fewer if there are no more until 2100
    C FROM TO COUNT         how many slots lie in (FROM, TO]
    P FROM TO TIME          the newest of them, or -
    A FROM TO COUNT SUM     all of them, with the sum of their times
"""

import bisect
import datetime as dt
import random
import sys
import zoneinfo

from dateutil.relativedelta import relativedelta

ZONES = """America/New_York Europe/Berlin Australia/Lord_Howe Africa/Casablanca Pacific/Apia Asia/Kathmandu
Europe/Dublin Antarctica/Troll Asia/Gaza America/Sao_Paulo Europe/London America/Havana Asia/Tehran Africa/Cairo
Pacific/Auckland Pacific/Chatham America/St_Johns America/Santiago Asia/Amman Asia/Beirut Europe/Istanbul
Europe/Chisinau America/Asuncion America/Nuuk America/Scoresbysund Asia/Jerusalem Asia/Pyongyang Pacific/Fiji
Pacific/Norfolk Pacific/Fakaofo Pacific/Easter Asia/Ulaanbaatar America/Caracas America/Mexico_City
Atlantic/Azores Australia/Adelaide Europe/Volgograd America/Los_Angeles Asia/Tokyo UTC""".split()

FIRST = 1199145600  # 2008-01-01: no schedule begins earlier
BEGIN = 1262304000  # 2010-01-01
END = 2208988800  # 2040-01-01
LAST = 4102444800  # 2100-01-01: nobody looks further
HOUR = 3600
DAY = 86400
# Most slots in 30 years of a schedule that is looked at in full: one a week.
FEW = 1600
UTC = dt.timezone.utc
EPOCH = dt.datetime(1970, 1, 1)


def fields(civil):
    """A wall-clock time, kept as the seconds that UTC would need to show it."""
    return EPOCH + dt.timedelta(seconds=civil)


class Zone:
    """A zone. Away from its changes its offset is remembered, at them zoneinfo is asked each time."""

    # Further apart than a wall-clock time and the instants that may show it.
    NEAR = 40 * HOUR

    def __init__(self, name):
        self.name = name
        self.info = zoneinfo.ZoneInfo(name)
        self.changes = []
        t, step = FIRST, 12 * HOUR
        before = self.offset(t)
        while t < LAST + 366 * DAY:
            t += step
            after = self.offset(t)
            if after != before:
                self.changes.append(self.change(t - step, t))
            before = after
        self.between = [self.offset(change) for change in [FIRST] + self.changes]
        self.edges = [change for change in self.changes if BEGIN <= change < END]

    def offset(self, t):
        return round(dt.datetime.fromtimestamp(t, self.info).utcoffset().total_seconds())

    def change(self, low, high):
        """The first moment of the offset that holds at `high` and not at `low`."""
        before = self.offset(low)
        while high - low > 1:
            middle = (low + high) // 2
            if self.offset(middle) == before:
                low = middle
            else:
                high = middle
        return high

    def calm(self, civil, longer=0):
        """The only offset there is around a wall-clock time (and for a while after it), or None."""
        i = bisect.bisect_left(self.changes, civil - self.NEAR)
        return None if i < len(self.changes) and self.changes[i] < civil + longer + self.NEAR else self.between[i]

    def local(self, t):
        return t + self.offset(t)

    def instant(self, civil, fold=0):
        """A wall-clock time that does not exist is shifted by the gap's length, one that exists twice is its first."""
        offset = self.calm(civil)
        if offset is None:
            offset = round(fields(civil).replace(tzinfo=self.info, fold=fold).utcoffset().total_seconds())
        return civil - offset


class Interval:
    kind = "interval"

    def __init__(self, r):
        form = r.randrange(4)
        self.months = r.choice([1, 1, 1, 2, 3, 6, 12, 12, 14, 48]) if form == 1 or (form == 3 and r.random() < 0.5) else 0
        self.days = r.choice([1, 1, 1, 2, 3, 7, 10, 14, 30, 31, 45]) if form == 2 or form == 3 else 0
        self.exact = r.choice([60, 300, 1800, HOUR, 90 * 60, 6 * HOUR, 12 * HOUR, 23 * HOUR, 24 * HOUR, 86399, 100000])
        if form in (1, 2):
            self.exact = 0
        self.count = r.choice([None, None, None, 1, 7, 400, 5000])
        day = dt.date(2009, 1, 1) + dt.timedelta(days=r.randrange(365 * 4))
        if r.random() < 0.2:
            day = r.choice([dt.date(2012, 2, 29), dt.date(2010, 1, 31), dt.date(2011, 8, 31), dt.date(2010, 12, 30)])
        time = r.choice(["00:00:00", "00:30:00", "01:30:00", "02:00:00", "02:15:30", "02:30:00", "03:00:00", "23:59:59", ""])
        if not time:
            time = "%02d:%02d:%02d" % (r.randrange(24), r.randrange(60), r.randrange(60))
        self.anchor = dt.datetime.fromisoformat(f"{day}T{time}")
        years, months = divmod(self.months, 12)
        date = (f"{years}Y" if years else "") + (f"{months}M" if months else "")
        if self.days and self.days % 7 == 0 and r.random() < 0.5:
            date += f"{self.days // 7}W"
        elif self.days:
            date += f"{self.days}D"
        hours, rest = divmod(self.exact, HOUR)
        minutes, seconds = divmod(rest, 60)
        clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "") + (f"{seconds}S" if seconds else "")
        period = "P" + date + ("T" + clock if clock else "")
        repeat = "R" + ("" if self.count is None else str(self.count))
        # A zone keeps the fields and replaces the offset.
        self.text = f"{repeat}/{day}T{time}{r.choice(['', '', 'Z', '+09:00', '-03:30'])}/{period}"
        self.period = self.months * 30.436875 * DAY + self.days * DAY + self.exact
        self.is_exact = not (self.months or self.days)
        self.civils = {}
        # Where offsets matter and where they do not.
        if self.is_exact:
            self.looks = [(-4000, 2)]
        else:
            self.looks = [(-26 * HOUR, 4)] + ([(-4000, 6)] if self.exact else [])

    def civil(self, k):
        """The anchor, moved by the calendar part: the same in every zone."""
        if self.is_exact:
            k = 0
        if k not in self.civils:
            try:
                moved = self.anchor + relativedelta(months=self.months * k) + dt.timedelta(days=self.days * k)
                self.civils[k] = round((moved - EPOCH).total_seconds())
            except (ValueError, OverflowError):
                self.civils[k] = None
        return self.civils[k]

    def at(self, k, zone):
        civil = self.civil(k)
        return None if civil is None else zone.instant(civil) + self.exact * k

    def settled(self, t, zone):
        """How many slots lie at or before a moment."""
        first = self.at(0, zone)
        if first is None or t < first:
            return 0
        k = max(0, int((t - first) / self.period) - 2)
        while k > 0 and (self.at(k, zone) or LAST) > t:
            k -= 1
        while (self.at(k, zone) or LAST * 2) <= t:
            k += 1
        return k if self.count is None else min(k, self.count)

    def next(self, t, n, zone):
        found = []
        k = self.settled(t, zone)
        while len(found) < n and (self.count is None or k < self.count):
            at = self.at(k, zone)
            if at is None or at > LAST:
                break
            if not found or at != found[-1]:
                found.append(at)
            k += 1
        return found

    def all(self, start, end, zone):
        # Where a zone leaves out a day, two slots may be one moment.
        slots = range(self.settled(start, zone), self.settled(end, zone))
        return sorted({self.at(k, zone) for k in slots})

    def number(self, start, end, zone):
        return self.settled(end, zone) - self.settled(start, zone)

    def newest(self, start, end, zone):
        k = self.settled(end, zone)
        at = self.at(k - 1, zone) if k else None
        return at if at is not None and at > start else None

    def few(self):
        return min((END - BEGIN) / self.period, self.count or FEW * 2) < FEW

    def window(self, r):
        return r.randrange(1, 400 * DAY)


def numbers(field, low, high, names=()):
    """The values of one field of a cron expression."""
    found = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        for i, name in enumerate(names):
            span = span.replace(name, str(i + low))
        if span == "*":
            first, last = low, high
        else:
            first, _, last = span.partition("-")
            first, last = int(first), int(last or first)
        found.update(range(first, last + 1, int(step or 1)))
    return found


MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
DAYS = "SUN MON TUE WED THU FRI SAT".split()
CALENDAR = [(day, fields(day * DAY)) for day in range(FIRST // DAY - 2, LAST // DAY + 2)]


class Cron:
    """One that names its times, without a star in second, minute and hour, has a slot for each, moved by the length of a gap
    it falls into and at the first of two; any other skips what does not exist and runs in both halves of what exists twice."""

    kind = "cron"

    def __init__(self, r):
        one = lambda limit: str(r.randrange(limit))
        minute = r.choice(["*", "*/5", "*/15", "*/30", "0", "30", one(60), one(60), one(60), "0,45", "10-20/5"])
        hour = r.choice(["*", "*/2", "*/6", "1", "2", "2", "3", "0", "0", one(24), one(24), "2,14", "0-4", "22-23"])
        dom = r.choice(["*"] * 7 + ["1", "15", "29", "31", "1-7", "10,20", "1-31/2"])
        month = r.choice(["*"] * 8 + ["3", "10", "MAR,OCT", "3-11"])
        dow = r.choice(["*"] * 6 + ["0", "7", "SUN", "1-5", "MON-FRI", "0,6"])
        if r.random() < 0.03:
            dom, month, dow = "29", "FEB", "*"
        second = r.choice(["0", one(60), "0,30"]) if r.random() < 0.2 else None
        self.text = " ".join(([] if second is None else [second]) + [minute, hour, dom, month, dow])
        self.names_times = "*" not in (second or "") + minute + hour
        seconds, minutes = sorted(numbers(second or "0", 0, 59)), sorted(numbers(minute, 0, 59))
        self.within = [60 * m + s for m in minutes for s in seconds]
        self.doms = numbers(dom, 1, 31)
        self.months = numbers(month, 1, 12, MONTHS)
        self.dows = {n % 7 for n in numbers(dow, 0, 7 if "7" in dow else 6, DAYS)}
        self.either = dom != "*" and dow != "*"
        # The days and hours in which it has slots: the same in every zone.
        self.days = [day * DAY for day, date in CALENDAR if self.on(date)]
        self.hours = [hour * HOUR for hour in sorted(numbers(hour, 0, 23))]
        self.looks = [(-26 * HOUR, 3)] if self.names_times else [(-26 * HOUR, 2), (-4000, 8), (3500, 3)]

    def on(self, day):
        dom, dow = day.day in self.doms, day.isoweekday() % 7 in self.dows
        return day.month in self.months and (dom or dow if self.either else dom and dow)

    def of(self, civil, zone):
        """The instants of one wall-clock time."""
        first, second = zone.instant(civil), zone.instant(civil, 1)
        if self.names_times:
            return [first]
        if zone.local(first) != civil:
            return []
        return sorted({first, second})

    def pieces(self, t, zone):
        """Slots from a moment on, hour by hour: those of an hour, before them a bound that no later one is below."""
        # What a gap moves is not moved further than a day.
        margin = 0 if zone.calm(t) is not None else 26 * HOUR if self.names_times else 4 * HOUR
        begin = zone.local(t) - margin - HOUR
        first = bisect.bisect_left(self.days, begin // DAY * DAY)
        days = (self.days[i] for i in range(first, len(self.days)))
        for hour in (day + hour for day in days for hour in self.hours if day + hour >= begin):
            offset = zone.calm(hour, HOUR)
            if offset is not None:
                yield hour - offset, [hour - offset + within for within in self.within]
            else:
                slots = [at for within in self.within for at in self.of(hour + within, zone)]
                yield min(zone.instant(hour), zone.instant(hour, 1)), slots

    def until(self, t, enough, zone):
        found = []
        for bound, slots in self.pieces(t, zone):
            if enough(found, bound):
                break
            for at in slots:
                if at > t and (not found or at > found[-1]):
                    found.append(at)
                elif at > t:
                    i = bisect.bisect_left(found, at)
                    if found[i] != at:
                        found.insert(i, at)
        return found

    def next(self, t, n, zone):
        found = self.until(t, lambda found, bound: len(found) >= n and bound > found[n - 1], zone)
        return [at for at in found[:n] if at <= LAST]

    def all(self, start, end, zone):
        return [at for at in self.until(start, lambda _, bound: bound > end, zone) if at <= end]

    def number(self, start, end, zone):
        return len(self.all(start, end, zone))

    def newest(self, start, end, zone):
        found = self.all(start, end, zone)
        return found[-1] if found else None

    def few(self):
        days = bisect.bisect_left(self.days, END) - bisect.bisect_left(self.days, BEGIN)
        return days * len(self.hours) * len(self.within) < FEW

    def window(self, r):
        return r.randrange(1, 3 * DAY)


def main():
    seed, schedules, part, parts, zones = map(int, sys.argv[1:6])
    zoneinfo.reset_tzpath(to=())  # the package's database, not the machine's
    known = [Zone(name) for name in ZONES[:zones]]
    out = sys.stdout
    for i in range(part, schedules, parts):
        r = random.Random(f"{seed}/{i}")
        schedule = Interval(r) if r.random() < 0.6 else Cron(r)
        out.write(f"S {schedule.kind} {schedule.text}\n")
        for zone in known:
            out.write(f"Z {zone.name} {len(zone.edges)}\n")
            looks = [(edge + shift, n) for edge in zone.edges for shift, n in schedule.looks]
            looks += [(r.randrange(BEGIN, END), 3) for _ in range(4)]
            for t, n in looks:
                out.write(f"N {t} {n} {' '.join(map(str, schedule.next(t, n, zone)))}\n")
            for edge in r.sample(zone.edges, min(3, len(zone.edges))) + [r.randrange(BEGIN, END)]:
                start = edge - r.randrange(2 * DAY)
                end = start + schedule.window(r)
                out.write(f"C {start} {end} {schedule.number(start, end, zone)}\n")
                newest = schedule.newest(start, end, zone)
                out.write(f"P {start} {end} {'-' if newest is None else newest}\n")
            if schedule.few():
                slots = schedule.all(BEGIN, END, zone)
                out.write(f"A {BEGIN} {END} {len(slots)} {sum(slots)}\n")


main()
