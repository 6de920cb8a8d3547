import CPlatform
import Glibc

/// The process and its own end.
public enum OwnProcess {
    /// Raises a signal with its default disposition: ends the process, or stops it and returns when it was continued.
    public static func raise(_ signal: Int32) {
        leasehold_signal_self(signal)
    }

    /// Dies of a signal as another process did, without a core file of its own.
    public static func die(of signal: Int32) -> Never {
        leasehold_leave_no_core()
        leasehold_signal_self(signal)
        exit(128 + signal)
    }

    /// Has this program go on anew in a session of its own, with its caller's settings and its own arguments, while this
    /// process waits in front of it until the guest runs, and ends. See `leasehold_detach` in `keeper.h`.
    ///
    /// - Parameter option: what stands in front of the other program's arguments, and before the number of the descriptor to
    ///   write to once the guest runs; its closing lets the caller go on.
    public static func detach(from caller: Caller, option: String) throws(SystemError) -> Never {
        var state = caller.state
        let number = "000000000000"
        let name = CommandLine.arguments.first ?? option
        let failure = StringVector(argumentsWithoutFirst: 1).withFront([name, option, number]) { arguments in
            _ = arguments[2].map { leasehold_detach(&state, arguments, $0) }
            return errno
        }
        throw SystemError("fork", number: failure)
    }

    /// Keeps the process's memory from being paged out, where it may.
    ///
    /// - Returns: whether it is kept. Not without CAP_IPC_LOCK or an unlimited RLIMIT_MEMLOCK.
    @discardableResult
    public static func stayInMemory() -> Bool {
        leasehold_stay_in_memory()
    }

    /// Makes the process the last one that the kernel kills when memory runs out, where it may (CAP_SYS_RESOURCE).
    /// Children that were forked before keep what they had. Source: `man 5 proc_pid_oom_score_adj`.
    public static func outlastOthers() {
        leasehold_outlast_others()
    }

    /// Puts the calling thread before all that isn't real-time, where it may (CAP_SYS_NICE).
    public static func runBeforeOthers() {
        leasehold_run_before_others()
    }

    /// Makes orphans below this process its children. Source: `man 2 PR_SET_CHILD_SUBREAPER`.
    public static func becomeSubreaper() throws(SystemError) {
        try checked("prctl") { leasehold_become_subreaper() }
    }

    /// The process's children now. A caller that started some and then executed this program leaves them to it.
    public static func children() -> [ProcessIdentity] {
        var room = [leasehold_process](repeating: leasehold_process(), count: 1024)
        let count = leasehold_children(&room, Int32(room.count))
        return room.prefix(max(0, Int(count))).map { ProcessIdentity(pid: $0.pid, startTime: $0.start_time) }
    }

    /// Kills and reaps the process's children but those spared, one pass. Returns how many there were, nil where /proc
    /// can't tell.
    public static func killChildren(sparing spared: [ProcessIdentity]) -> Int? {
        let list = spared.map { leasehold_process(pid: $0.pid, start_time: $0.startTime) }
        let left = leasehold_kill_children(list, Int32(list.count))
        return left < 0 ? nil : Int(left)
    }

    /// The wait status of a child that has ended, which is reaped by this; nil while it lives.
    public static func reap(_ pid: Int32) -> Int32? {
        var status: Int32 = 0
        return waitpid(pid, &status, WNOHANG) == pid ? status : nil
    }
}
