import ControlProtocol
import Glibc
import Platform
import SanlockLeases

/// The lease directory as the sanlock daemon's user can use it, tried with that user's rights.
struct RightsFacts: Equatable, Sendable {
    /// That user.
    var user: String?
    /// Why it can't be tried.
    var obstacle: String?
    /// What that user can't use.
    var faults: [String]?
    /// How many files were tried.
    var count: Int64?
    /// How the look ended.
    var end = Facts.End.complete

    init() {}

    init(_ facts: Facts) {
        user = facts.string("user")
        obstacle = facts.string("obstacle")
        faults = facts.strings("faults")
        count = facts.integer("count")
        end = facts.end
    }

    /// Becomes the daemon's user, so in a process of its own, and tries.
    ///
    /// - Parameter configured: the user that the settings name for files, where no daemon runs.
    static func collect(_ sight: LeaseDirectorySight, configured: ProcessUser?, _ teller: Teller) {
        guard let user = (try? DaemonSight())?.user ?? configured else {
            return teller.tell("obstacle", "no sanlock daemon runs, so its user isn't known")
        }
        teller.tell("user", user.name)
        // Listed before, as the directory need not be readable for the daemon.
        let names = sight.fileNames()
        do throws(SystemError) { try user.become() } catch {
            return teller.tell("obstacle", "only root can try as user \(user.name)")
        }
        let faults = sight.unusable()
        teller.tell("count", .integer(Int64(names.count)))
        teller.tell("faults", faults.isEmpty ? sight.unusable(names) : faults)
    }

    /// Whether the daemon can use it.
    ///
    /// - Parameter storage: this user's own look at it.
    func check(_ storage: StorageFacts) -> Check {
        guard storage.missing == nil, storage.isDirectory == true else {
            return .notChecked(.leaseRights, "the lease directory can't be used")
        }
        if storage.isReadOnly == true { return .notChecked(.leaseRights, "the lease directory is mounted read-only") }
        if let obstacle {
            return .notChecked(.leaseRights, obstacle, advice: "run doctor as root, with a sanlock daemon that runs")
        }
        guard let user, let faults else {
            return .notChecked(.leaseRights, "the storage does not answer")
        }
        guard !faults.isEmpty else {
            return .ok(.leaseRights, "the sanlock daemon's user \(user) can use the directory")
        }
        return .failed(
            .leaseRights, "for the sanlock daemon's user \(user): \(faults.few())",
            advice: "the daemon needs to search the directories, and to read and write the files: see to their owner, "
                + "group and mode")
    }
}
