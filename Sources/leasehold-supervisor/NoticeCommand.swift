import Glibc
import Platform
import SanlockLeases
import Supervision

/// `--lease-notice SUPERVISOR [PID]`: what the sanlock daemon runs to tell a supervisor something. With the pid, which the
/// daemon adds, a lockspace has failed; without, somebody asks for a lease.
enum NoticeCommand {
    private static let option = "--lease-notice"

    /// What a daemon is to run for this process; nil where its program's path is none that sanlock takes.
    static var ofThisProcess: SanlockNotice? {
        Files.linkTarget("/proc/self/exe").flatMap {
            SanlockNotice(program: $0, arguments: "\(option) \(getpid())")
        }
    }

    /// Does it, and returns the exit status; nil where the arguments are something else.
    static func run(_ arguments: [String]) -> Int32? {
        guard arguments.first == option else { return nil }
        let pids = arguments.dropFirst().map { Int32($0) }
        guard (1...2).contains(pids.count), let first = pids.first, let pid = first, pid > 1,
            pids.allSatisfy({ $0 == pid })
        else { return ExitStatus.Code.usage }
        do throws(SystemError) {
            try (pids.count == 2 ? LeaseNotice.look : .requested).send(to: pid)
            return 0
        } catch {
            return ExitStatus.Code.notFound
        }
    }
}
