import Foundation
import TestSupport
import Testing

/// The supervisor is killed while its guest runs, and the guest is everything that a guest can be.
@Suite(.serialized) struct HostileGuestTests {
    static let guests = [
        "plain", "ignore-signals,block-signals", "setsid", "new-group", "double-fork", "fork=4", "fork-chain",
        "tree=3x3", "setuid", "close-fds", "subreaper", "threads=4", "stop", "clear-pdeathsig", "vfork-exec",
        "double-fork,setuid,ignore-signals,close-fds,tree=2x3",
        "fork-chain,setuid,close-fds,block-signals",
        "setsid,fork=3,subreaper,setuid,threads=2,stop,clear-pdeathsig",
        "vfork-exec,double-fork,new-group,setuid,fork-chain,tree=2x2",
    ]

    @Test(arguments: guests) func guestDiesBeforeItsLeaseIsFree(modes: String) throws {
        let stage = try KillStage.shared()
        let guest = try stage.start("timestamps,\(modes)")
        let hunter = try LeaseHunter(stage)
        let killed = monotonicNanoseconds()
        guest.supervisor.signal(SIGKILL)
        let took = try guest.record.waitUntilGone(within: 1)
        #expect(took < 1)
        let got = try hunter.gotNanoseconds()
        let lastAlive = try guest.record.lastAliveNanoseconds()
        #expect(lastAlive > guest.program.startedNanoseconds, "the guest's own clock must have run")
        #expect(lastAlive < got, "the lease was free \(Double(lastAlive) - Double(got)) ns before the guest's end")
        // A guest that closed its descriptors and a keeper that waits for sanlock both pass above: this one is prompt too.
        #expect(got < killed + 5_000_000_000, "the lease has to be free at once")
        try hunter.end()
        try stage.expectNothingLeft()
    }

    /// What the kill must not lose against: many chains of processes that do nothing but replace themselves.
    @Test func chainsThatForkAsFastAsTheyCanDie() throws {
        let stage = try KillStage.shared()
        let chain = """
            $end = time + 25; $SIG{$_} = "IGNORE" for qw(TERM HUP INT QUIT);
            for (1 .. 8) { last if !fork } syswrite STDOUT, "chain\\n";
            while (time < $end) { my $child = fork; exit 0 if $child } exit 0
            """
        let program = try stage.hosts.scratch.start(
            try stage.supervised(["--name", "guest", "--disk", stage.disk], ["perl", "-e", chain]))
        // A look at all processes may come too late for any of these.
        try eventually(within: 15, "all chains") { program.output.split(separator: "\n").count == 9 }
        pause(milliseconds: 100)
        program.signal(SIGKILL)
        try eventually(within: 1, every: 5, "the end of all chains") { stage.strays.isEmpty }
        try stage.takeAgain()
        try stage.expectNothingLeft()
    }

    /// A guest may change its limits, its place and its looks: nothing of it is what the kill goes by.
    @Test func guestThatExecutesAnotherProgramAndChangesItsNameDies() throws {
        let stage = try KillStage.shared()
        let program = try stage.hosts.scratch.start(
            try stage.supervised(
                ["--name", "guest", "--disk", stage.disk],
                ["env", "-i", "setsid", "--fork", "bash", "-c", "cd / && exec -a '(x) y' sleep 41"]))
        let sleeping = try eventuallyFound(within: 20, "the guest") {
            processes(descendingFrom: program.pid).first { ProcessStatus($0.pid)?.name == "sleep" }
        }
        program.signal(SIGKILL)
        try eventually(within: 1) { !sleeping.exists }
        try stage.expectNothingLeft()
    }

    @Test func mainProcessThatExitsWithZeroLeavesASupervisedGuest() throws {
        let stage = try KillStage.shared()
        let (first, second) = (stage.hosts.scratch.file("\(stage.tag).a"), stage.hosts.scratch.file("\(stage.tag).b"))
        let program = try stage.hosts.scratch.start(
            try stage.supervised(
                ["--name", "guest", "--disk", stage.disk],
                [
                    "sh", "-c",
                    """
                    linger() { for i in $(seq 200); do [ -e "$1" ] && exit 0; sleep 0.05; done; }
                    linger \(first) & linger \(second) & exit 0
                    """,
                ]))
        func expectSupervised(_ count: Int) throws {
            try eventually(within: 20) {
                processes(descendingFrom: program.pid).filter { ProcessStatus($0.pid)?.name == "sh" }.count == count
            }
            pause(milliseconds: 150)
            #expect(program.isRunning)
            #expect(try stage.isHeld())
        }
        try expectSupervised(2)
        let child = try stage.leasehold("child-pid", "guest").expecting(.exit(0)).output
        #expect(pid_t(child.dropLast()).flatMap { ProcessStatus($0)?.name } == "sh")
        try stage.hosts.scratch.write("", to: "\(stage.tag).a")
        try expectSupervised(1)
        try stage.hosts.scratch.write("", to: "\(stage.tag).b")
        #expect(try program.wait(timeout: 3) == .exit(0))
        try stage.expectNothingLeft()
    }

    /// A process whose first thread has ended shows as a zombie while the others go on.
    @Test func processWithoutItsMainThreadCountsAsTheGuest() throws {
        let stage = try KillStage.shared()
        let script = """
            import ctypes, os, sys, threading, time
            if os.fork() == 0:
                threading.Thread(target=time.sleep, args=(20,)).start()
                print("guest", os.getpid(), flush=True)
                ctypes.CDLL(None).pthread_exit(None)
            time.sleep(0.3)
            os._exit(0)
            """
        let program = try stage.hosts.scratch.start(
            try stage.supervised(["--name", "guest", "--disk", stage.disk], ["python3", "-c", script]))
        let text = try program.waitForOutput("guest ")
        let guest = try #require(
            pid_t(text.split(whereSeparator: \.isWhitespace).last ?? "").flatMap { ProcessIdentity(living: $0) })
        try eventually(within: 20) { ProcessStatus(guest.pid)?.state == "Z" }
        pause(milliseconds: 700)
        #expect(program.isRunning && guest.exists)
        #expect(try stage.isHeld())
        program.signal(SIGKILL)
        try eventually(within: 1) { !guest.exists }
        try stage.expectNothingLeft()
    }

    @Test func guestThatItsMainProcessLeftDiesWithTheSupervisor() throws {
        let stage = try KillStage.shared()
        let program = try stage.hosts.scratch.start(
            try stage.supervised(
                ["--name", "guest", "--disk", stage.disk],
                ["sh", "-c", "sleep 30 & sleep 30 & setsid sleep 30 & exit 0"]))
        try eventually(within: 20) {
            processes(descendingFrom: program.pid).filter { ProcessStatus($0.pid)?.name == "sleep" }.count == 3
        }
        #expect(try stage.leasehold("child-pid", "guest").expecting(.exit(0)).output.hasSuffix("\n"))
        program.signal(SIGKILL)
        try eventually(within: 1, every: 5) { stage.strays.isEmpty }
        try stage.expectNothingLeft()
    }

    @Test func whatAnEmulatorLeavesWhenItEndsGoesWithIt() throws {
        let stage = try KillStage.shared()
        let monitor = stage.hosts.scratch.file("\(stage.tag).qmp")
        let command = QEMU.command(disks: [stage.disk], qmpSocket: monitor)
        let program = try stage.hosts.scratch.start(try stage.supervised(["--name", "guest"], command))
        let client = try QMP(monitor)
        // The emulator's own way to start a program; what that leaves running it doesn't know.
        try client.execute("migrate", ["uri": "exec:trap '' HUP TERM; setsid sleep 42 & cat >/dev/null"])
        let helper = try eventuallyFound(within: 5, "the emulator's helper") {
            processes(descendingFrom: program.pid).first { ProcessStatus($0.pid)?.name == "sleep" }
        }
        _ = try? client.execute("quit")
        #expect(try program.wait(timeout: 5) == .exit(0))
        #expect(!helper.exists)
        try eventually(within: 2) { stage.strays.isEmpty }
        #expect(try !stage.isHeld())
        #expect(try stage.exitRecord()["reason"] == "exited")
        try stage.expectNothingLeft()
    }
}
