import Foundation
import Testing
import TestSupport

/// What a guest costs beside itself. One after another, as others' load is what is measured otherwise.
@Suite(.serialized) struct MemoryTests {
    /// `numbers.md`: supervisor and keeper together.
    private static let mostPrivateKilobytes = 1024

    @Test func supervisorAndKeeperAreSmallAndStaySo() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            // The dirty pages of a program that was built just now would count as the process's own.
            sync()
            let disk = try hosts.disk()
            let guest = try desk.start("small", command: QEMU.command(disks: [disk]), leased: true)
            pause(milliseconds: 500)
            let first = try privateMemory(of: guest)
            print("private memory: supervisor \(first.supervisor) kB, keeper \(first.keeper) kB")
            #expect(first.supervisor + first.keeper <= Self.mostPrivateKilobytes)

            try ask(guest, calls: 500, connections: 1200)
            let later = try privateMemory(of: guest)
            print("after 1,200 clients: supervisor \(later.supervisor) kB, keeper \(later.keeper) kB")
            #expect(later.supervisor + later.keeper <= Self.mostPrivateKilobytes)
            #expect(later.supervisor - first.supervisor <= 128)
            // The keeper itself does nothing; pages it shares with the supervisor become its own when that writes to them.
            #expect(later.keeper - first.keeper <= 64)
            // Whatever was made room for once is enough for as much again.
            try ask(guest, calls: 3000, connections: 1000)
            let last = try privateMemory(of: guest)
            #expect(last.supervisor - later.supervisor <= 16)
            #expect(try descriptors(of: guest.supervisor.pid) <= 24)
        }
    }

    /// Status calls on one connection, and connections that follow the events until they close.
    private func ask(_ guest: ControlledGuest, calls: Int, connections: Int) throws {
        let connection = try ControlConnection(guest.control)
        for _ in 0..<calls {
            try connection.send("GetStatus")
            try connection.skipReplies(1)
        }
        for _ in 0..<connections {
            let follower = try ControlConnection(guest.control)
            try follower.send("Monitor", more: true)
            try follower.skipReplies(1)
        }
    }

    @Test func theSupervisorIsLockedInMemory() throws {
        try ControlDesk.with { desk in
            let guest = try desk.start("locked")
            // The last of what they do to themselves comes after the guest's exec.
            for pid in [guest.supervisor.pid, try guest.keeper().pid] {
                try eventually(within: 5) {
                    let status = String(decoding: readProcessFile(pid, "status") ?? Data(), as: UTF8.self)
                    return try number("VmLck", in: status) > 0
                }
            }
            // What is locked is what was touched: no thread's whole stack.
            let memory = try privateMemory(of: guest)
            #expect(memory.supervisor + memory.keeper <= Self.mostPrivateKilobytes)
            // The guest is not, unless it does so itself.
            let child = String(decoding: readProcessFile(guest.child.pid, "status") ?? Data(), as: UTF8.self)
            #expect(try number("VmLck", in: child) == 0)
        }
    }

    @Test func anIdleGuestWakesNobody() throws {
        try ControlDesk.with { desk in
            let guest = try desk.start("idle")
            let connection = try ControlConnection(guest.control)
            try connection.send("Monitor", more: true)
            _ = try connection.receive()
            // Its start may not be over yet, on a machine that is busy; whatever comes again and again comes in every ten seconds.
            try eventually(within: 45, every: 0, "ten seconds without a wake-up") {
                let before = try wakeUps(of: guest)
                pause(milliseconds: 10_000)
                return try wakeUps(of: guest) == before
            }
        }
    }

    /// A look at the leases a renewal period (2 s here), for which the loop wakes twice, and the looking thread some times:
    /// once for the job, and for each of the daemon's answers, which come in pieces.
    @Test func aGuestWithALeaseWakesForAnOccasionalLook() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let guest = try desk.start("looking", disks: [try hosts.disk()])
            pause(milliseconds: 3000)
            let before = try wakeUps(of: guest)
            pause(milliseconds: 10_000)
            let after = try wakeUps(of: guest)
            let counts = try after.map { thread, count in count - (try #require(before[thread])) }.sorted()
            // Keeper and idle worker sleep; the loop and the looking thread don't.
            #expect(counts.dropLast(2).allSatisfy { $0 == 0 }, "\(counts)")
            #expect(counts.suffix(2).allSatisfy { $0 > 0 }, "\(counts)")
            #expect(counts.suffix(2).reduce(0, +) <= 6 * 24, "\(counts)")
        }
    }

    @Test func aHundredGuestsAreListedInASecondAndLeaveNothing() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let programs = try (0..<100).map { number in
                let disks = number < 20 ? [try hosts.disk()] : []
                return try desk.supervised("guest-\(number)", disks: disks)
            }
            let start = monotonicNanoseconds()
            let supervisors = try programs.map { try desk.scratch.start($0) }
            let guests = try supervisors.enumerated().map { number, supervisor in
                let directory = desk.guestDirectory("guest-\(number)")
                return try ControlledGuest(name: "guest-\(number)", directory: directory, supervisor: supervisor)
            }
            print("100 guests started in \(secondsSince(start)) s")
            // Other tests run at the same time: the best of some looks is what counts.
            let times = try (0..<5).map { _ in
                let outcome = try desk.leasehold("list").expecting(.exit(0))
                #expect(outcome.output.split(separator: "\n").count == 101)
                return outcome.seconds
            }
            print("100 guests listed in \(times) s")
            #expect(try #require(times.min()) < 1)
            let keepers = try guests.map { try $0.keeper() }
            let stops = try guests.map { try desk.scratch.start(desk.command("stop", $0.name)) }
            for stop in stops { #expect(try stop.finish(timeout: 30).status == .exit(0)) }
            for supervisor in supervisors { #expect(try supervisor.wait(timeout: 10) == .signal(SIGTERM)) }
            try eventually(within: 2) { keepers.allSatisfy { !$0.exists } }
            #expect(guests.allSatisfy { !$0.child.exists })
            #expect(try desk.guestNames() == [])
            #expect(try desk.leasehold("list").output.split(separator: "\n").count == 1)
            let held = Set(try hosts.first.daemon.clientStatus().resources.map(\.pid))
            #expect(held.isDisjoint(with: supervisors.map(\.pid)))
        }
    }

    @Test func hundredsOfClientsGiveBackWhatTheyCost() throws {
        try ControlDesk.with { desk in
            let guest = try desk.start("popular")
            let idle = try (0..<800).map { _ in try ControlConnection(guest.control) }
            #expect(try desk.leasehold("child-pid", "popular").succeeded)
            for client in idle { shutdown(client.descriptor, Int32(SHUT_RDWR)) }
            try eventually(within: 5) { try descriptors(of: guest.supervisor.pid) <= 24 }
            let memory = try privateMemory(of: guest)
            #expect(memory.supervisor + memory.keeper <= Self.mostPrivateKilobytes)
        }
    }

    /// Descriptors run out before clients do.
    @Test func clientsBeyondTheDescriptorsCostNothing() throws {
        try ControlDesk.with { desk in
            var program = try desk.supervised("narrow")
            program.inheritance.limits = [.init(resource: Int32(RLIMIT_NOFILE.rawValue), soft: 64, hard: 64)]
            let guest = try ControlledGuest(
                name: "narrow", directory: desk.guestDirectory("narrow"), supervisor: desk.scratch.start(program))
            let many = try (0..<120).map { _ in try ControlConnection(guest.control) }
            pause(milliseconds: 300)
            let before = try processorTicks(of: guest.supervisor.pid)
            pause(milliseconds: 2000)
            #expect(try processorTicks(of: guest.supervisor.pid) - before < 20)
            #expect(guest.supervisor.errors.split(separator: "\n").count <= 3)
            // SIGTERM needs no client, and the end is written down all the same.
            guest.supervisor.signal(SIGTERM)
            #expect(try guest.supervisor.wait(timeout: 5) == .signal(SIGTERM))
            #expect(try desk.exitRecord("narrow")?["reason"] == "stopped")
            #expect(try desk.guestNames() == [])
            withExtendedLifetime(many) {}
        }
    }

    // MARK: Measures

    private func privateMemory(of guest: ControlledGuest) throws -> (supervisor: Int, keeper: Int) {
        (try privateKilobytes(of: guest.supervisor.pid), try privateKilobytes(of: guest.keeper().pid))
    }

    /// The number after `name:` in a file of /proc.
    private func number(_ name: String, in text: String) throws -> Int {
        let line = text.split(separator: "\n").first { $0.hasPrefix("\(name):") }
        guard let word = line?.split(whereSeparator: \.isWhitespace).dropFirst().first, let number = Int(word) else {
            throw TestFailure("no \(name) in: \(text)")
        }
        return number
    }

    /// How often each thread has waited and gone on.
    private func wakeUps(of guest: ControlledGuest) throws -> [String: Int] {
        var counts: [String: Int] = [:]
        for pid in [guest.supervisor.pid, try guest.keeper().pid] {
            for thread in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task") {
                let status = String(decoding: readProcessFile(pid, "task/\(thread)/status") ?? Data(), as: UTF8.self)
                counts["\(pid)/\(thread)"] = try number("voluntary_ctxt_switches", in: status)
            }
        }
        return counts
    }

    private func descriptors(of pid: pid_t) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
    }

    /// User and system time, in ticks of 10 ms.
    private func processorTicks(of pid: pid_t) throws -> Int {
        let stat = String(decoding: readProcessFile(pid, "stat") ?? Data(), as: UTF8.self)
        let fields = stat.split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 12, let user = Int(fields[11]), let system = Int(fields[12]) else {
            throw TestFailure("no times in \(stat)")
        }
        return user + system
    }
}
