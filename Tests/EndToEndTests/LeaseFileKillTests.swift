import Foundation
import TestSupport
import Testing

/// SIGKILL at every step of making lease files: the next start succeeds.
@Suite struct LeaseFileKillTests {
    /// What is there before a file is made.
    enum Before: CaseIterable {
        case nothing, unfinished, cleared
    }

    private func prepare(_ before: Before, _ disk: String, _ hosts: TwoHosts) throws {
        let path = try hosts.leasePath(disk)
        switch before {
        case .nothing: return
        case .unfinished: try UnfinishedFile.short.make(path, "", hosts.first.daemon)
        case .cleared: try UnfinishedFile.cleared.make(path, try hosts.leaseText(disk), hosts.first.daemon)
        }
    }

    private func options(_ disk: String) -> [String] { ["--name", "killed", "--disk", disk] }

    /// The calls of the worker thread from its first question to sanlock until the guest runs and is recorded.
    private func calls(_ disk: String, _ station: Station, wait seconds: Double = 15) throws -> [SystemCall] {
        let daemon = station.daemon
        defer { daemon.cont() }
        let start = try HeldStart(
            try station.supervised(options(disk), Probe.command("sleep", "60")), daemon, station.scratch)
        let tracer = try Tracer(start.worker, station.scratch)
        daemon.cont()
        try Guest(running: start.running, name: "killed", station: station).waitUntilRecorded(disk, within: seconds)
        let calls = try tracer.finish().values.flatMap { $0 }
        start.running.signal(SIGTERM)
        try start.running.wait()
        return calls
    }

    /// The part of the calls in which files of the lease directory are made.
    private func makingFiles(_ calls: [SystemCall]) throws -> [SystemCall] {
        let marks = calls.indices.filter { calls[$0].line.contains("/.leasehold") }
        let first = try #require(marks.first, "no file is made aside: \(calls)")
        let last = try #require(marks.last)
        return Array(calls[first...min(last + 2, calls.count - 1)])
    }

    /// Begins a start that is killed at one call of its worker.
    private func startKilled(_ call: SystemCall, _ disk: String, _ station: Station) throws -> RunningProgram {
        defer { station.daemon.cont() }
        let start = try HeldStart(
            try station.supervised(options(disk), Probe.command("sleep", "60")), station.daemon, station.scratch)
        _ = try Tracer(start.worker, kill: call, station.scratch)
        return start.running
    }

    /// Waits for the kill. A call that a start makes this time and not that time leaves a guest that runs, and is ended.
    private func wasKilled(_ running: RunningProgram, _ disk: String, _ station: Station) throws -> Bool {
        let guest = Guest(running: running, name: "killed", station: station)
        try eventually(within: 30, every: 4, "the end of \(running)") {
            try !running.isRunning || station.record(of: disk)?["guest"] == "killed" && !guest.leases().isEmpty
        }
        pause(milliseconds: 20)
        guard running.isRunning else { return running.status == .signal(SIGKILL) }
        running.signal(SIGKILL)
        try running.wait()
        return false
    }

    /// Under its name there is what was there before, or a file that sanlock takes for a lease.
    private func expectWholeOrUntouched(
        _ disk: String, _ before: FileSight?, _ hosts: TwoHosts, _ call: SystemCall
    ) throws {
        guard let now = FileSight(try hosts.leasePath(disk)), now.number != before?.number else { return }
        let reading = try hosts.second.daemon.sanlock("direct", "read_leader", "-r", try hosts.leaseText(disk))
        #expect(now.bytes == 1 << 20 && reading.succeeded, "half made after \(call): \(reading)")
    }

    /// A start that succeeds, with its lease held until it ends.
    private func expectStart(_ disk: String, _ station: Station, _ hosts: TwoHosts, after call: SystemCall) throws {
        // The killed one's lease is free some milliseconds later.
        try eventually(within: 5, "the killed start's lease being free") {
            for host in [hosts.first, hosts.second] {
                let resources = try host.daemon.clientStatus().resources
                guard try resources.allSatisfy({ !$0.path.hasSuffix(try leaseName(disk)) }) else { return false }
            }
            return true
        }
        do {
            let guest = try station.start(["--disk", disk], named: "next")
            try expectLeases(of: guest, [try ExpectedLease(disk, in: station.leaseDirectory)])
            #expect(try guest.stop().status == .signal(SIGTERM))
        } catch {
            Issue.record("the start after \(call): \(error)")
        }
    }

    /// The same on several hosts at once, where each has a lockspace to join first.
    private func expectStarts(_ disk: String, _ stations: [Station], after calls: [String]) throws {
        let guests = try stations.map { station in
            let program = try station.supervised(["--name", "next", "--disk", disk], Probe.command("sleep", "60"))
            return Guest(running: try station.scratch.start(program), name: "next", station: station)
        }
        for (guest, call) in zip(guests, calls) {
            do {
                try guest.waitUntilRecorded(disk, within: 30)
                try expectLeases(of: guest, [try ExpectedLease(disk, in: guest.station.leaseDirectory)])
                #expect(try guest.stop().status == .signal(SIGTERM))
            } catch {
                Issue.record("the start after \(call): \(error)")
            }
            // Whoever makes a file clears up before.
            try guest.station.start(["--disk", "/disks/another"], named: "maker").stop()
            #expect(LeaseDirectory.asideFiles(guest.station.leaseDirectory) == [], "left after \(call)")
        }
    }

    /// A call at which a start is killed, and what it finds before.
    private struct Step {
        let before: Before
        let call: SystemCall
        let disk: String
    }

    /// Each call of the worker by hand, in between some of those in which files are made.
    private func plan(_ before: Before, _ hosts: TwoHosts, _ station: Station) throws -> [Step] {
        let example = try hosts.disk()
        try prepare(before, example, hosts)
        if before != .nothing { try LeaseDirectory.waitUntilOld([try hosts.leasePath(example)]) }
        let all = try calls(example, station)
        let chosen = Rounds.wanted < 100 ? Rounds.some(try makingFiles(all), sample: 7) : all
        return try chosen.map { call in
            let disk = try hosts.disk()
            try prepare(before, disk, hosts)
            return Step(before: before, call: call, disk: disk)
        }
    }

    @Test func theStartAfterOneKilledWhileItMadeALeaseFileSucceeds() throws {
        try withTwoHosts { hosts in
            let station = try Station(on: hosts.first, of: hosts, hosts.scratch)
            let other = try Station(on: hosts.second, of: hosts, hosts.scratch)
            try station.start(["--disk", "/first"], named: "first").stop()
            let steps = try Before.allCases.flatMap { try plan($0, hosts, station) }
            try LeaseDirectory.waitUntilOld(
                try steps.filter { $0.before != .nothing }.map { try hosts.leasePath($0.disk) })
            var kills = 0
            for (number, step) in steps.enumerated() {
                let sight = FileSight(try hosts.leasePath(step.disk))
                let start = try startKilled(step.call, step.disk, station)
                kills += try wasKilled(start, step.disk, station) ? 1 : 0
                try expectWholeOrUntouched(step.disk, sight, hosts, step.call)
                if number % 2 == 1 { try expectStart(step.disk, other, hosts, after: step.call) }
                try expectStart(step.disk, station, hosts, after: step.call)
                // Whoever makes a file clears up before.
                try station.start(["--disk", try hosts.disk()], named: "maker").stop()
                #expect(LeaseDirectory.asideFiles(hosts.leaseDirectory) == [], "left after \(step)")
            }
            // Those are missed that depend on the moment, such as waiting for another thread.
            #expect(kills * 4 >= steps.count * 3, "only \(kills) of \(steps.count) were killed")
        }
    }

    @Test func theStartAfterOneKilledWhileItMadeTheLockspaceSucceeds() throws {
        let disk = "/disks/one"
        var all: [SystemCall] = []
        try withFreshHosts(1) { all = try calls(disk, try $0[0].station(), wait: 20) }
        let making = try makingFiles(all)
        let chosen = Rounds.wanted < 100 ? Rounds.some(making, sample: 8) : all
        var kills = 0
        for some in Rounds.portions(chosen, of: 8) {
            try withFreshHosts(some.count) { hosts in
                let stations = try hosts.map { try $0.station() }
                let killed = try zip(some, stations).map { try startKilled($0, disk, $1) }
                kills += try zip(killed, stations).filter { try wasKilled($0, disk, $1) }.count
                for (host, call) in zip(hosts, some) {
                    let whole = try host.wholeness(of: disk)
                    #expect(whole.lockspace != false && whole.lease != false, "half made after \(call)")
                }
                try expectStarts(disk, stations, after: some.map(\.description))
            }
        }
        #expect(kills * 4 >= chosen.count * 3, "only \(kills) of \(chosen.count) were killed")
    }

    @Test func theStartAfterADaemonWasKilledWhileItFormattedSucceeds() throws {
        let disk = "/disks/one"
        var seen: [SystemCall] = []
        try withFreshHosts(1) { hosts in
            let tracer = try Tracer(hosts[0].daemon.pid, wholeProcess: true, hosts[0].scratch)
            let guest = try hosts[0].station().start(["--disk", disk])
            try guest.waitUntilRecorded(disk)
            // strace counts by thread: what the first thread to get there is at.
            seen = Array(Set(try tracer.finish().values.flatMap { $0 }))
            try guest.stop()
        }
        let files = ["openat", "newfstatat", "io_submit", "io_getevents", "munmap", "close", "sendto"]
        let formatting = seen.filter { files.contains($0.name) && $0.count <= 3 }
            .sorted { ($0.name, $0.count) < ($1.name, $1.count) }
        let chosen = Rounds.wanted < 100 ? Rounds.some(formatting, sample: 6) : seen
        for some in Rounds.portions(chosen, of: 6) {
            try withFreshHosts(some.count) { hosts in
                let stations = try hosts.map { try $0.station() }
                for (host, call) in zip(hosts, some) {
                    _ = try Tracer(host.daemon.pid, wholeProcess: true, kill: call, host.scratch)
                }
                let starts = try stations.map {
                    try $0.scratch.start(try $0.supervised(options(disk), Probe.command("sleep", "6")))
                }
                for ((start, host), call) in zip(zip(starts, hosts), some) {
                    let outcome = try start.finish(timeout: 30)
                    // 0 where the daemon lived or died when the guest had ended, 74 where it ran.
                    if outcome.status != .exit(0), outcome.status != .exit(74) {
                        let code: Int32 = outcome.status == .exit(73) ? 73 : 69
                        expectOneLine(outcome, code: code)
                    }
                    try host.daemon.restart()
                    let whole = try host.wholeness(of: disk)
                    #expect(whole.lockspace != false && whole.lease != false, "half made after \(call)")
                }
                try expectStarts(disk, stations, after: some.map(\.description))
            }
        }
    }
}
