import ControlProtocol
import DiskNames
import Glibc
import GuestDirectory
import Platform
import SanlockLeases

/// The run directory and what is in it.
struct RunDirectoryFacts: Equatable, Sendable {
    /// The directory.
    var path: String
    /// Whether it is there, and a directory that this user can write to; otherwise what is wrong.
    var fault: String?
    /// Whether it is there.
    var isThere = true
    /// What killed supervisors left; nil where it can't be told.
    var leftovers: [String]?

    init(path: String) { self.path = path }

    static func collect(_ directory: RunDirectory) -> RunDirectoryFacts {
        var facts = RunDirectoryFacts(path: directory.path)
        do throws(SystemError) {
            let kind = try Files.kind(of: directory.path)
            facts.isThere = kind != nil
            if kind?.isDirectory == false {
                facts.fault = "is no directory"
            } else if kind != nil {
                if !Files.isWritableDirectory(directory.path) { facts.fault = "is not writable" }
            }
            facts.leftovers = try Leftover.all(in: directory).map { leftover in
                leftover.name + (leftover.guest.map { " (its guest lives on as pid \($0.pid))" } ?? "")
            }
        } catch {
            if error.number != EWOULDBLOCK { facts.fault = facts.fault ?? SystemError.text(of: error.number) }
        }
        return facts
    }

    /// The bytes that are left for a guest's name in the path of its control socket.
    private var nameBytes: Int {
        UnixSocket.longestPath - path.utf8.count - "/guests/".utf8.count - "/control".utf8.count
    }

    /// Whether guests can be found through it.
    var check: Check {
        let advice = "set run_dir or LEASEHOLD_RUN_DIR"
        if let fault {
            return .failed(.runDirectory, "\(path) \(fault)", advice: "\(advice), or see to its rights")
        }
        if nameBytes < 1 {
            return .failed(
                .runDirectory, "\(path) is too long: a control socket's path holds 107 bytes",
                advice: "\(advice) to something shorter")
        }
        if nameBytes < 64 {
            return .warning(
                .runDirectory, "\(path) is long: guests' names can have \(nameBytes) bytes at most, not 64",
                advice: "\(advice) to something shorter")
        }
        return .ok(.runDirectory, isThere ? path : "\(path), which the first start makes")
    }

    /// Whether killed supervisors left something.
    var leftoversCheck: Check {
        guard fault == nil else { return .notChecked(.leftovers, "the run directory can't be used") }
        guard let leftovers else {
            return .notChecked(.leftovers, "a start or an end is going on", advice: "ask again")
        }
        guard !leftovers.isEmpty else { return .ok(.leftovers, "none") }
        return .warning(
            .leftovers, "supervisors that were killed left \(leftovers.few())",
            advice: "leasehold list ends and removes it")
    }
}

/// Guests that could reach sanlock itself.
struct GuestUserFacts: Equatable, Sendable {
    /// Their names, each with its user.
    var powerful: [String] = []
    /// How many were looked at.
    var count = 0

    static func collect(_ directory: RunDirectory) -> GuestUserFacts {
        var facts = GuestUserFacts()
        for paths in directory.guestDirectories() where paths.livingSupervisor != nil {
            guard let state = paths.readState(), let child = state.child, child.isAlive else { continue }
            facts.count += 1
            if let user = GuestUser.reachingSanlock(child.pid) {
                facts.powerful.append("\(state.status.name.printable) (pid \(child.pid), user \(user))")
            }
        }
        return facts
    }

    /// Whether a guest that breaks out of its emulator finds more than it should.
    var check: Check {
        guard !powerful.isEmpty else {
            return .ok(
                .guestUsers, count == 0 ? "no guest runs" : "none of \(count) running could open sanlock's own socket"
            )
        }
        return .warning(
            .guestUsers, "can open sanlock's own socket, if they break out of their emulator: \(powerful.few())",
            advice: "run them as a user that is neither root nor in sanlock's group")
    }
}

/// The user that a guest runs as.
public enum GuestUser {
    /// The user of a process that could open sanlock's own socket; nil where it couldn't, or is gone.
    public static func reachingSanlock(_ pid: Int32) -> String? {
        guard let user = ProcessUser(of: pid) else { return nil }
        if user.user == 0 { return user.name }
        guard let socket = try? Files.kind(of: DaemonSight.socketPath), user.mayWrite(socket) else { return nil }
        return user.name
    }
}

/// Disks whose path is no name that stays.
struct DiskPathFacts: Equatable, Sendable {
    /// What is to be said of each.
    var advice: [String] = []
    /// How many paths were looked at.
    var count = 0
    /// How the look ended.
    var end = Facts.End.complete

    init() {}

    init(_ facts: Facts) {
        advice = facts.strings("advice") ?? []
        count = Int(clamping: facts.integer("count") ?? 0)
        end = facts.end
    }

    /// Looks at the disks of running guests, then at those that holders wrote down.
    static func collect(_ directory: RunDirectory, _ sight: LeaseDirectorySight, _ teller: Teller) {
        let states = directory.guestDirectories().filter { $0.livingSupervisor != nil }.compactMap { $0.readState() }
        var seen: Set<[UInt8]> = []
        var advice: [String] = []
        func look(_ disks: [String]) {
            for disk in disks where seen.insert(Array(disk.utf8)).inserted {
                if let words = DiskName.advice(for: disk) { advice.append(words.printable) }
                teller.tell("advice", advice)
                teller.tell("count", .integer(Int64(seen.count)))
            }
        }
        look(states.flatMap { $0.status.leases.compactMap(\.disk) })
        look(sight.recordedDisks())
    }

    /// Whether all are names that stay.
    var check: Check {
        if !advice.isEmpty {
            return .warning(
                .diskPaths, advice.few(),
                advice: "leases are named by the disk's path: a disk under another path is another lease")
        }
        if end != .complete {
            return .notChecked(.diskPaths, "\(count.of("disk")) looked at; then something did not answer")
        }
        return .ok(.diskPaths, count == 0 ? "no disk is known" : "\(count.of("disk")), under names that stay")
    }
}
