//! A walk: a crew and its played workers, step by step as the dice fall.
//!
//! Every step is something that the program, the server, the time or a worker may do to the crew.
//! What must hold in between is checked after each; what must hold in the end, by `tests.rs`.

use super::maps::{Line, Map};
use super::*;

/// See the file head.
pub(super) struct Walk {
    pub(super) dice: u64,
    pub(super) crew: Crew,
    pub(super) records: Records,
    pub(super) workers: Vec<Played>,
    pub(super) next_ticket: Ticket,
    pub(super) has_setup: bool,
    pub(super) setups: SetupEnds,
    pub(super) maps: Vec<Map>,
    pub(super) line: Line,
    /// Whatever waits was cancelled.
    is_emptied: bool,
    /// All was stopped: whatever runs may be sacrificed.
    is_stopped: bool,
    /// Who is awake and will look for answers before he sleeps (T1 in waiter.rs): the manager, the
    /// thread that attends, submitters whose workers are being woken.
    pub(super) manager_looks: bool,
    waiter_looks: bool,
    submitters_look: usize,
    /// How rarely jobs come: in some walks the workers have time to fall asleep.
    calm: usize,
}

impl Walk {
    pub(super) fn new(seed: u64) -> Walk {
        let mut walk = Walk {
            dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            crew: Crew::new(Rules::new(1)),
            records: Records::default(),
            workers: Vec::new(),
            next_ticket: 1,
            has_setup: false,
            setups: Arc::default(),
            maps: Vec::new(),
            line: Line::default(),
            is_emptied: false,
            is_stopped: false,
            manager_looks: false,
            waiter_looks: false,
            submitters_look: 0,
            calm: 1,
        };
        walk.crew.rules.workers = 1 + walk.below(4);
        walk.calm = 1 + 11 * walk.below(2);
        walk.has_setup = walk.below(3) == 0;
        walk.crew.rules.max_jobs = [None, None, Some(1), Some(3)][walk.below(4)];
        let age = Duration::from_millis(30);
        walk.crew.rules.max_age = [None, None, Some(age)][walk.below(3)];
        walk.crew.clock = hands;
        TIME.set(Duration::ZERO);
        walk
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice % limit as u64) as usize
    }

    /// One transition, and all that comes of it.
    pub(super) fn change<T>(&mut self, transition: impl FnOnce(&mut Crew, &mut Out) -> T) -> T {
        let answer = self.change_once(transition);
        self.settle();
        answer
    }

    /// What those have to do who were told of ends, or want some.
    pub(super) fn settle(&mut self) {
        loop {
            // Not in the condition: its lock would last for the body.
            let ended = self.setups.lock().unwrap().pop();
            if let Some((ticket, result)) = ended {
                self.change_once(|crew, out| crew.set_up(ticket, result, out));
            } else if let Some(id) = self.line.next() {
                self.change_once(|crew, out| crew.abort(id, out));
            } else if !self.settle_maps() {
                return;
            }
        }
    }

    fn change_once<T>(&mut self, transition: impl FnOnce(&mut Crew, &mut Out) -> T) -> T {
        let mut out = Out::new();
        let answer = transition(&mut self.crew, &mut out);
        self.crew.left(out.len());
        for (remote, outcome) in out {
            remote.finish(outcome);
        }
        if self.crew.take_ring() {
            self.manager_looks = true;
            self.crew.plan_look(); // What the manager does when it is woken.
        }
        self.check();
        answer
    }

    /// What holds between any two transitions (C2, C6, T1).
    pub(super) fn check(&self) {
        assert!(
            self.crew.queue.is_empty() || self.crew.idle.is_empty(),
            "C2"
        );
        let sleeps_past = |alarm: Instant| self.crew.next_look.is_none_or(|look| alarm < look);
        assert!(!self.crew.next_alarm().is_some_and(sleeps_past), "C6");
        let somebody_looks = self.manager_looks || self.waiter_looks || self.submitters_look > 0;
        let is_unheard = |member: &Member| member.has_answered() && !member.is_mad;
        assert!(
            somebody_looks || !self.crew.members.values().any(is_unheard),
            "T1: an answer that nobody will hear"
        );
        let orders: Vec<u64> = self.crew.queue.iter().map(|job| job.order).collect();
        assert!(orders.is_sorted(), "{orders:?}");
        let held: usize = self.crew.members.values().map(Member::load).sum();
        assert!(self.crew.pending >= self.crew.queue.len());
        assert!(self.crew.pending <= self.crew.queue.len() + held);
    }

    pub(super) fn submit(&mut self, length: usize) {
        self.submit_on(Terms::default(), length);
    }

    pub(super) fn dice_terms(&mut self) -> Terms {
        Terms {
            timeout: (self.below(3) == 0).then(|| Duration::from_millis(20)),
            on_death: match self.below(40) {
                0..20 => OnDeath::FailJob,
                20..30 => OnDeath::Retry(0),
                30..39 => OnDeath::Retry(2),
                _ => OnDeath::BreakPool,
            },
        }
    }

    pub(super) fn submit_on(&mut self, terms: Terms, length: usize) {
        self.submit_while(terms, length, Walk::pass_while_woken);
    }

    /// What happens while a worker is being woken.
    pub(super) fn pass_while_woken(&mut self) {
        for _ in 0..self.below(8) {
            match self.below(6) {
                0 => self.hear(),
                1 => self.attend(),
                2 => self.submit(0),
                _ => self.work(),
            }
        }
    }

    /// `meanwhile`: while the worker is being woken, if it has to be.
    pub(super) fn submit_while(
        &mut self,
        terms: Terms,
        length: usize,
        meanwhile: impl FnOnce(&mut Walk),
    ) {
        let index = self.records.lock().unwrap().len();
        self.records.lock().unwrap().push(Record {
            terms,
            submitted: TIME.get(),
            ..Record::default()
        });
        let remote = Box::new(FakeRemote {
            index,
            records: self.records.clone(),
        });
        let argument = vec![0; length];
        let job = Job {
            remote,
            order: 0,
            entry: index as u64,
            argument: carry(argument, &mut new_memory).unwrap(),
            policy: terms.policy(),
        };
        if self.crew.phase == Phase::Open {
            self.accept(job, meanwhile);
        } else {
            self.records.lock().unwrap().pop();
        }
    }

    /// As `Shared::accept` does it.
    pub(super) fn accept(&mut self, job: Job, meanwhile: impl FnOnce(&mut Walk)) {
        self.submitters_look += 1;
        let (act, woken) = self.change(|crew, out| crew.accept(job, out));
        self.manager_looks |= act;
        if let Some(woken) = woken {
            meanwhile(self);
            woken.board.rearm();
            if woken.board.look(woken.number) != Look::NotYet {
                self.change(|crew, out| crew.collect_own(&woken, out));
            }
        }
        self.submitters_look -= 1;
        self.check();
    }

    /// As a handle does it: in place while it is queued for the first time.
    pub(super) fn abort(&mut self) {
        let count = self.records.lock().unwrap().len();
        if count == 0 {
            return;
        }
        let index = self.below(count);
        let started = {
            let record = &mut self.records.lock().unwrap()[index];
            if record.is_item || record.aborted || !record.ends.is_empty() {
                return;
            }
            record.aborted = true;
            record.started
        };
        if started {
            self.change(|crew, out| crew.abort(TaskId(index), out));
        }
    }

    pub(super) fn hire(&mut self) {
        if self.crew.wants_workers() == 0 {
            return;
        }
        let (ours, channel) = sys::socketpair(libc::SOCK_SEQPACKET).unwrap();
        let (board, [page, pillow]) = Board::create().unwrap();
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let theirs = Board::open(&page, pillow).unwrap();
        self.workers.push(Played::new(ticket, channel, theirs));
        let mut member = Member::new(Arc::new(ours), Arc::new(board));
        let ended = self.setups.clone();
        member.setup = self.has_setup.then(|| Job {
            remote: Box::new(FakeSetup { ticket, ended }),
            order: FIRST,
            entry: SETUP,
            argument: Payload::Bytes(Vec::new()),
            policy: None,
        });
        self.change(|crew, _| crew.expect(ticket, member));
    }

    pub(super) fn pick(&mut self, which: impl Fn(&Played) -> bool) -> Option<usize> {
        let fitting: Vec<usize> = (0..self.workers.len())
            .filter(|&index| which(&self.workers[index]))
            .collect();
        (!fitting.is_empty()).then(|| fitting[self.below(fitting.len())])
    }

    pub(super) fn arrive(&mut self) {
        if let Some(index) = self.pick(|worker| !worker.arrived) {
            self.workers[index].arrived = true;
            let ticket = self.workers[index].ticket;
            self.change(|crew, out| crew.arrived(ticket, 100 + ticket as u32, None, out));
        }
    }

    pub(super) fn refuse(&mut self) {
        if let Some(index) = self.pick(|worker| !worker.arrived) {
            let ticket = self.workers.remove(index).ticket;
            let error = io::Error::from_raw_os_error(libc::EAGAIN);
            self.change(|crew, out| crew.refused(Some(ticket), &error, out));
        }
    }

    /// A worker takes a step: it begins something, or ends it.
    pub(super) fn work(&mut self) {
        if let Some(index) = self.pick(|worker| worker.arrived) {
            let goes_mad = self.below(40) == 0;
            self.work_as(index, goes_mad);
        }
    }

    pub(super) fn work_as(&mut self, index: usize, goes_mad: bool) {
        let records = &mut self.records.lock().unwrap();
        let is_emptied = self.is_emptied || self.crew.broken.is_some();
        match self.workers[index].step(records, goes_mad, is_emptied) {
            Some(MANAGER) => self.manager_looks = true,
            Some(WAITER) => self.waiter_looks = self.crew.is_attended, // or nobody is there
            _ => {}
        }
        self.check();
    }

    /// The manager takes in what was answered, until there is no more.
    pub(super) fn hear(&mut self) {
        self.manager_looks = true;
        while self.take_in(|crew| if crew.is_attended { WAITER } else { MANAGER }) {}
        self.manager_looks = false;
        self.check();
    }

    /// As the manager and a thread that attends do it. True when there was anything.
    fn take_in(&mut self, whom: impl FnOnce(&Crew) -> u32) -> bool {
        self.change(|crew, out| {
            crew.collect(out);
            if out.is_empty() {
                crew.arm(whom(crew));
                crew.collect(out);
            }
            !out.is_empty()
        })
    }

    /// A thread begins to attend, takes in what was answered, or ceases to.
    fn attend(&mut self) {
        if !self.crew.is_attended {
            self.crew.is_attended = true;
            self.waiter_looks = true;
        } else if self.below(4) == 0 {
            self.waiter_looks = true; // It looks on for a moment.
            self.change(|crew, out| {
                crew.collect(out);
                crew.arm(NOBODY);
            });
        } else if self.below(3) > 0 {
            self.waiter_looks = true;
            self.waiter_looks = self.take_in(|_| WAITER);
        } else {
            self.change(|crew, out| {
                crew.is_attended = false;
                crew.arm(MANAGER);
                crew.collect(out);
            });
            self.waiter_looks = false;
        }
        self.check();
    }

    /// A worker dies, and the pool takes note of it in the order of the real one.
    pub(super) fn die(&mut self, index: usize) {
        self.workers[index].fall(&mut self.records.lock().unwrap());
        if self.below(2) == 0 {
            let ticket = self.workers[index].ticket;
            self.change(|crew, _| crew.leaves(ticket)); // The end of its channel came first.
        }
        self.hear();
        let ticket = self.workers.remove(index).ticket;
        self.crew.orders.retain(|(ordered, _)| *ordered != ticket);
        // The server may be late with its word, or never say it.
        let word = self.below(16);
        if word > 7 {
            self.change(|crew, out| crew.died(ticket, out));
        }
        if word < 15 {
            self.change(|crew, out| crew.bury(ticket, Some(libc::SIGKILL), out));
        }
    }

    /// An order is carried out. Only a job that is to stop may be at stake; and SIGTERM may be
    /// ignored.
    pub(super) fn execute(&mut self) {
        if self.crew.orders.is_empty() {
            return;
        }
        let (ticket, signal) = self.crew.orders.remove(0);
        let mut workers = self.workers.iter();
        let Some(index) = workers.position(|worker| worker.ticket == ticket) else {
            return;
        };
        let worker = &self.workers[index];
        if let (Some(stake), false) = (worker.stake(), worker.is_mad) {
            let record = &self.records.lock().unwrap()[stake];
            let all_stop = self.is_stopped || self.crew.broken.is_some();
            let may_stop = record.aborted || record.terms.timeout.is_some() || all_stop;
            assert!(may_stop, "sacrificed: {record:?}");
        }
        if signal == libc::SIGKILL || self.below(3) > 0 {
            self.die(index);
        }
    }

    /// A worker that was let go leaves when it has nothing to do.
    pub(super) fn leave(&mut self) {
        let is_let_go = |walk: &Walk, ticket| {
            let member = walk.crew.members.get(&ticket);
            member.is_some_and(|member| member.stage == Stage::Leaving && member.is_idle())
        };
        let tickets: Vec<_> = self.workers.iter().map(|worker| worker.ticket).collect();
        if let Some(index) = tickets.iter().position(|ticket| is_let_go(self, *ticket))
            && !self.workers[index].is_busy()
        {
            self.die(index);
        }
    }

    pub(super) fn pass_time(&mut self, milliseconds: u64) {
        TIME.set(TIME.get() + Duration::from_millis(milliseconds));
        self.change(Crew::ring_alarms);
        self.change(Crew::end_pause);
        drop(self.crew.take_idle_stock());
        // C6, and nothing is left undone.
        let look = self.crew.plan_look();
        assert!(look.is_none_or(|look| look > hands()));
    }

    /// Somebody has waited for a map for long.
    pub(super) fn relieve(&mut self, milliseconds: u64) {
        self.pass_time(milliseconds);
        self.change(Crew::relieve);
    }

    /// The pool closes. True: what waits is over.
    pub(super) fn close(&mut self) -> bool {
        let how = self.below(3);
        (self.is_emptied, self.is_stopped) = (how > 0, how == 2);
        if self.is_emptied {
            let records = &mut self.records.lock().unwrap();
            self.workers
                .iter()
                .for_each(|worker| worker.call_off(records));
        }
        self.change(|crew, out| match how {
            2 => crew.stop_all(crew.grace(), out),
            _ => crew.close(how == 1, out),
        });
        self.is_emptied
    }

    pub(super) fn step(&mut self) {
        match self.below(27) {
            0..=3 if self.below(self.calm) > 0 => self.work(),
            0..=3 => {
                let length = [0, 10, 300_000][self.below(3)];
                let terms = self.dice_terms();
                self.submit_on(terms, length);
            }
            20..=21 => {
                let long = self.below(20) == 0; // enough for a worker to be stuck
                let milliseconds = if long { 1200 } else { self.below(8) as u64 };
                self.pass_time(milliseconds);
            }
            4..=5 => self.hire(),
            6..=7 => self.arrive(),
            8..=12 => self.work(),
            13..=15 => self.hear(),
            16 if self.below(2) == 0 => self.abort(),
            16 => self.leave(),
            17 => self.execute(),
            18 if self.below(4) == 0 => self.refuse(),
            18 => self.attend(),
            19 if self.below(3) == 0 => {
                if let Some(index) = self.pick(|worker| worker.arrived) {
                    self.die(index);
                }
            }
            22..=24 if self.below(self.calm) > 0 => self.work(),
            22..=24 => self.extend_map(),
            25 => {
                let milliseconds = self.below(2) as u64;
                self.relieve(milliseconds);
            }
            26 if self.below(4) == 0 => self.abort_some_map(),
            _ => {}
        }
    }

    /// Until all jobs have ended, without further mishaps.
    pub(super) fn finish(&mut self) {
        for _ in 0..100_000 {
            if self.crew.is_done() {
                return;
            }
            self.hire();
            self.arrive();
            self.work();
            self.hear();
            self.execute();
            self.leave();
            self.pass_time(1);
        }
        panic!("it never ends: {} jobs are left", self.crew.pending);
    }
}
