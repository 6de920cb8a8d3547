import Foundation
import TestSupport

/// What a supervisor does when the lease is lost.
enum LossPolicy: String, CaseIterable, Sendable {
    case poweroff
    case pause
}

/// Guest A: it writes on host 1, under a supervisor.
final class FaultGuest: Sendable {
    let writer: WriterGuest
    let policy: LossPolicy
    let guest: Guest
    let qmpSocket: String
    private let events: String

    static let name = "a"

    /// Starts it; returns when it has written for the first time.
    init(
        _ policy: LossPolicy, on hosts: FaultHosts, disk: String, observer: DiskObserver, hertz: UInt32,
        name: String = FaultGuest.name
    ) throws {
        self.policy = policy
        let scratch = hosts.scratch
        writer = try WriterGuest(identity: 1, disk: disk, hertz: hertz, in: scratch)
        qmpSocket = scratch.file("\(name).qmp")
        let isPausing = policy == .pause
        let all =
            ["--on-lease-loss", policy.rawValue, "--log-level", "info"] + (isPausing ? ["--qmp", qmpSocket] : [])
        events = scratch.file("\(name).events")
        let guest = try hosts.first.start(
            all, writer.command(qmpSocket: isPausing ? qmpSocket : nil), named: name)
        self.guest = guest
        try eventually(within: 30, every: 10, "the first write of \(guest.running): \(guest.running.errors)") {
            guard guest.running.isRunning else { throw TestFailure("\(guest.running): \(guest.running.errors)") }
            return !observer.writes(of: 1).isEmpty
        }
        var follower = Program(
            try Products.cli(), ["events", name], environment: hosts.first.environment)
        follower.output = .file(events)
        _ = try scratch.start(follower)
    }

    /// What its supervisor has announced, since it was followed.
    var announced: [JSONValue] {
        let text = FileManager.default.contents(atPath: events) ?? Data()
        return String(decoding: text, as: UTF8.self).split(separator: "\n").compactMap {
            try? JSONValue(parsing: String($0))
        }
    }

    /// Its supervisor's exit record; nil while there is none.
    var exitRecord: JSONValue? {
        let path = "\(guest.station.runDirectory)/exits/\(guest.name).json"
        return FileManager.default.contents(atPath: path).flatMap { try? JSONValue(parsing: $0) }
    }

    /// Its status; nil where it has none any more.
    var status: JSONValue? {
        guard let outcome = try? guest.station.leasehold("status", guest.name, "--json"), outcome.succeeded else {
            return nil
        }
        return try? outcome.json()
    }

    /// The version of its lease, as its status tells.
    var leaseVersion: Int? { status?["leases"]?[0]?["version"]?.integer }

    /// In a few words, what has become of it. What is just ending is waited for, some seconds.
    func condition() -> String {
        _ = try? eventually(within: 3, every: 50) { !guest.running.isRunning || status != nil }
        guard guest.running.isRunning else {
            // A supervisor that was killed leaves it to the next look.
            if exitRecord == nil { _ = try? guest.station.leasehold("list") }
            let how = guest.running.status.map { "\($0)" } ?? "?"
            return "dead (\(exitRecord?["reason"]?.string ?? "no record"), \(how))"
        }
        let state = status?["state"]?.string ?? "no status"
        // A supervisor that still waits for a process that can't die.
        let isBlocked = guest.running.descendants.contains { ProcessStatus($0.pid)?.state == "D" }
        return state + (isBlocked ? ", blocked in the kernel" : "")
    }
}

/// Guest B: another on host 2 that wants the same lease.
final class OtherGuest: Sendable {
    /// How it comes to the lease.
    enum Kind: Sendable {
        /// It asks libsanlock all the time, and becomes the guest as soon as it has it.
        case hunter
        /// A supervisor with `--wait`.
        case supervised
        /// Nobody.
        case nobody
    }

    let kind: Kind
    let writer: WriterGuest
    private let program: RunningProgram?
    private let events: RunningProgram?

    private static let hunt = """
        import ctypes, os, sys, time
        sanlock = ctypes.CDLL("libsanlock_client.so.1")
        socket = sanlock.sanlock_register()
        if socket < 0: sys.exit("can't register: %d" % socket)
        resource = ctypes.c_void_p()
        if sanlock.sanlock_str_to_res(sys.argv[2].encode(), ctypes.byref(resource)) < 0: sys.exit("no resource")
        list = (ctypes.c_void_p * 1)(resource)
        last = 0
        while True:
            code = sanlock.sanlock_acquire(socket, -1, 0x8, 1, list, None)
            if code == 0: break
            if code != last: print("hunting %d %d" % (code, time.monotonic_ns()), flush=True)
            last = code
            time.sleep(float(sys.argv[1]))
        print("got %d" % time.monotonic_ns(), flush=True)
        os.execvp(sys.argv[3], sys.argv[3:])
        """

    /// Starts to wait; returns when the lease was refused for the first time.
    ///
    /// - Parameter everySeconds: how often a hunter asks.
    init(_ kind: Kind, on hosts: FaultHosts, disk: (first: String, second: String), everySeconds: Double, hertz: UInt32)
        throws
    {
        self.kind = kind
        let scratch = hosts.scratch
        let station = hosts.second
        writer = try WriterGuest(identity: 2, disk: disk.second, hertz: hertz, in: scratch)
        switch kind {
        case .hunter:
            let lease = try hosts.leaseText(disk.first, 2)
            let program = try scratch.start(
                Program(
                    Products.python, ["-c", Self.hunt, "\(everySeconds)", lease] + writer.command(),
                    environment: station.environment))
            self.program = program
            events = nil
            try program.waitForOutput("hunting")
        case .supervised:
            let options = ["--name", "b", "--wait", "300s", "--log-level", "info"]
            let program = try scratch.start(try station.supervised(options, writer.command()))
            self.program = program
            try eventually(within: 10, every: 20, "b waiting: \(program) \(program.errors)") {
                let status = try station.leasehold("status", "b", "--json")
                guard status.succeeded else { return false }
                return try status.json()["state"] == "acquiring"
            }
            events = try scratch.start(Program(try Products.cli(), ["events", "b"], environment: station.environment))
        case .nobody:
            program = nil
            events = nil
        }
    }

    /// When it had the lease, in CLOCK_MONOTONIC; nil before. Of a supervisor to the millisecond.
    var leaseNanoseconds: UInt64? {
        switch kind {
        case .hunter:
            let lines = (program?.output ?? "").split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            return lines.last { $0.hasPrefix("got ") }.flatMap { UInt64($0.dropFirst(4)) }
        case .supervised:
            let lines = (events?.output ?? "").split(separator: "\n").compactMap { try? JSONValue(parsing: String($0)) }
            let acquired = lines.first { $0["event"] == "acquired" }
            return acquired?["time"]?.string.flatMap(Self.monotonic(from:))
        case .nobody: return nil
        }
    }

    /// How it was refused for good; nil while it waits or where it has the lease.
    var refusal: String? { program?.status.map { "\($0): \(program?.errors ?? "")" } }

    private static func monotonic(from time: String) -> UInt64? {
        guard let date = try? Date(time, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)) else {
            return nil
        }
        let ago = UInt64(max(0, Date().timeIntervalSince(date)) * 1e9)
        return monotonicNanoseconds() - ago
    }

    /// What it was refused with, and when, for messages.
    var trouble: String {
        guard let program else { return "nobody" }
        return "\(program): \(program.output.suffix(600)) \(program.errors.suffix(600))"
    }
}
