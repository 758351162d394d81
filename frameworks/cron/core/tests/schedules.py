"""Writes random schedules and when they are due, by Python's zoneinfo and dateutil: an opinion of its own.

    schedules.py SEED SCHEDULES PART PARTS ZONES

Of the schedules with this seed it takes each PARTS-th from PART on, and each in the first ZONES zones, over the years 2010
to 2039, at every change of each zone's offset and at random moments. Lines, times in seconds since 1970:

    S KIND TEXT             a schedule: "interval" or "cron"
    Z ZONE CHANGES          it is looked at in this zone, which has so many changes
    N AFTER TIME...         the next slots after a moment
    C FROM TO COUNT         how many slots lie in (FROM, TO]
    P FROM TO TIME          the newest of them, or -
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

BEGIN = 1262304000  # 2010-01-01
END = 2208988800  # 2040-01-01
LAST = 4102444800  # 2100-01-01: nobody looks further
HOUR = 3600
DAY = 86400
UTC = dt.timezone.utc


def local(t, zone):
    return dt.datetime.fromtimestamp(t, zone).replace(tzinfo=None, fold=0)


def instant(civil, zone, fold=0):
    """A wall-clock time that does not exist is shifted by the gap's length, one that exists twice is its first."""
    aware = civil.replace(tzinfo=zone, fold=fold)
    return round((aware.replace(tzinfo=UTC) - dt.datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) - round(
        aware.utcoffset().total_seconds()
    )


def offset(t, zone):
    return dt.datetime.fromtimestamp(t, zone).utcoffset()


def change_between(low, high, zone):
    """The first moment of the offset that holds at `high` and not at `low`."""
    before = offset(low, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if offset(middle, zone) == before:
            low = middle
        else:
            high = middle
    return high


def changes(zone):
    found = []
    t, step = BEGIN, 6 * HOUR
    while t < END:
        if offset(t, zone) != offset(t + step, zone):
            found.append(change_between(t, t + step, zone))
        t += step
    return found


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
        # Where offsets matter and where they do not.
        self.looks = [] if not (self.months or self.days) else [(-26 * HOUR, 4)] + ([(-4000, 6)] if self.exact else [])

    def at(self, k, zone):
        try:
            civil = self.anchor + relativedelta(months=self.months * k) + dt.timedelta(days=self.days * k)
        except (ValueError, OverflowError):
            return None
        return instant(civil, zone) + self.exact * k

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
        while len(found) < n:
            k = self.settled(found[-1] if found else t, zone)
            at = self.at(k, zone) if self.count is None or k < self.count else None
            if at is None or at > LAST:
                break
            found.append(at)
        return found

    def number(self, start, end, zone):
        return self.settled(end, zone) - self.settled(start, zone)

    def newest(self, start, end, zone):
        k = self.settled(end, zone)
        at = self.at(k - 1, zone) if k else None
        return at if at is not None and at > start else None

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


class Cron:
    """As Vixie cron: one that names a second, a minute and an hour runs once a day, moved behind a gap it falls into and
    at the first of two; any other skips what does not exist and runs in both halves of what exists twice."""

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
        self.fixed = all(f.isdigit() for f in (second or "0", minute, hour))
        self.seconds = sorted(numbers(second or "0", 0, 59))
        self.minutes = sorted(numbers(minute, 0, 59))
        self.hours = sorted(numbers(hour, 0, 23))
        self.doms = numbers(dom, 1, 31)
        self.months = numbers(month, 1, 12, MONTHS)
        self.dows = {n % 7 for n in numbers(dow, 0, 7 if "7" in dow else 6, DAYS)}
        self.either = dom != "*" and dow != "*"
        self.looks = [(-26 * HOUR, 3)] if self.fixed else [(-26 * HOUR, 2), (-4000, 8), (3500, 3)]

    def on(self, day):
        dom, dow = day.day in self.doms, day.isoweekday() % 7 in self.dows
        return day.month in self.months and (dom or dow if self.either else dom and dow)

    def of(self, civil, zone):
        """The instants of one wall-clock time."""
        first, second = instant(civil, zone), instant(civil, zone, 1)
        if local(first, zone) == civil:
            return [first] if self.fixed or second <= first else [first, second]
        if not self.fixed:
            return []
        behind = change_between(second, first, zone)
        return [behind] if self.on(local(behind, zone).date()) else []

    def until(self, t, enough, zone):
        """Slots after a moment, in order, until there are enough of them for `enough(found, bound)`, where `bound` is
        before all that are not found yet."""
        hour = local(t, zone).replace(minute=0, second=0, microsecond=0) - dt.timedelta(hours=4)
        found = []
        while hour.year < 2100:
            if not self.on(hour.date()):
                hour = (hour + dt.timedelta(days=1)).replace(hour=0)
                continue
            if hour.hour in self.hours:
                bound = min(instant(hour, zone), instant(hour, zone, 1))
                if enough(found, bound):
                    break
                for minute in self.minutes:
                    for second in self.seconds:
                        for at in self.of(hour.replace(minute=minute, second=second), zone):
                            i = bisect.bisect_left(found, at)
                            if at > t and (i == len(found) or found[i] != at):
                                found.insert(i, at)
            hour += dt.timedelta(hours=1)
        return found

    def next(self, t, n, zone):
        return self.until(t, lambda found, bound: len(found) >= n and bound > found[n - 1], zone)[:n]

    def all(self, start, end, zone):
        return [at for at in self.until(start, lambda _, bound: bound > end, zone) if at <= end]

    def number(self, start, end, zone):
        return len(self.all(start, end, zone))

    def newest(self, start, end, zone):
        found = self.all(start, end, zone)
        return found[-1] if found else None

    def window(self, r):
        return r.randrange(1, 3 * DAY)


def main():
    seed, schedules, part, parts, zones = map(int, sys.argv[1:6])
    zoneinfo.reset_tzpath(to=())  # the package's database, not the machine's
    named = [(name, zoneinfo.ZoneInfo(name)) for name in ZONES[:zones]]
    edges = {name: changes(zone) for name, zone in named}
    out = sys.stdout
    for i in range(part, schedules, parts):
        r = random.Random(f"{seed}/{i}")
        schedule = Interval(r) if r.random() < 0.6 else Cron(r)
        out.write(f"S {schedule.kind} {schedule.text}\n")
        for name, zone in named:
            out.write(f"Z {name} {len(edges[name])}\n")
            looks = [(edge + shift, n) for edge in edges[name] for shift, n in schedule.looks]
            looks += [(r.randrange(BEGIN, END), 3) for _ in range(4)]
            for t, n in looks:
                out.write(f"N {t} {' '.join(map(str, schedule.next(t, n, zone)))}\n")
            for edge in r.sample(edges[name], min(3, len(edges[name]))) + [r.randrange(BEGIN, END)]:
                start = edge - r.randrange(2 * DAY)
                end = start + schedule.window(r)
                out.write(f"C {start} {end} {schedule.number(start, end, zone)}\n")
                newest = schedule.newest(start, end, zone)
                out.write(f"P {start} {end} {'-' if newest is None else newest}\n")


main()
