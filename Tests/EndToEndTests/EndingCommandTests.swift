import Foundation
import Testing
import TestSupport

/// `wait`, `stop` and `kill`.
@Suite struct EndingCommandTests {
    @Test func waitTellsTheEndBeforeAndAfterIt() throws {
        try ControlDesk.with { desk in
            let uuid = "5ae9a2c0-4f2e-4cfb-8f0e-4e5a7d1f3a01"
            let go = desk.scratch.file("go")
            let command = ["sh", "-c", "until [ -e \(go) ]; do sleep 0.02; done; exit 6"]
            let guest = try desk.start("waited-for", options: ["--uuid", uuid], command: command)
            let waiting = try ["waited-for", uuid, uuid.uppercased()].map {
                try desk.scratch.start(desk.command("wait", $0, "--json"))
            }
            let inWords = try desk.scratch.start(desk.command("wait", "waited-for"))
            pause(milliseconds: 300)
            for waiter in waiting + [inWords] { #expect(waiter.isRunning && waiter.output == "") }
            try desk.scratch.write("", to: "go")
            let record = try waiting[0].finish(timeout: 10).expecting(.exit(0)).json()
            #expect(record["code"] == 6 && record["reason"] == "exited" && record["leasesFree"] == true)
            for waiter in waiting { #expect(try waiter.finish(timeout: 10).expecting(.exit(0)).json() == record) }
            #expect(try inWords.finish(timeout: 10).expecting(.exit(0)).output.contains("exited with 6"))
            #expect(try guest.supervisor.wait(timeout: 10) == .exit(6))
            // And afterwards, as often as one likes.
            for name in ["waited-for", uuid, uuid.uppercased()] {
                #expect(try desk.json("wait", name, "--json") == record, "\(name)")
            }
        }
    }

    @Test func waitIsInterruptible() throws {
        try ControlDesk.with { desk in
            let guest = try desk.start("long")
            let waiting = try desk.scratch.start(desk.command("wait", "long"))
            pause(milliseconds: 200)
            waiting.signal(SIGINT)
            #expect(try waiting.wait(timeout: 2) == .signal(SIGINT))
            #expect(guest.child.exists)
        }
    }

    /// The record of an earlier guest of the name must not be told as this one's.
    @Test func waitKnowsThatTheSupervisorWasKilled() throws {
        try ControlDesk.with { desk in
            #expect(try desk.supervised("twice", command: ["sh", "-c", "exit 3"]).run().status == .exit(3))
            #expect(try desk.json("wait", "twice", "--json")["code"] == 3)
            let guest = try desk.start("twice")
            let waiting = try desk.scratch.start(desk.command("wait", "twice", "--json"))
            pause(milliseconds: 300)
            guest.supervisor.signal(SIGKILL)
            let during = try waiting.finish(timeout: 10)
            #expect(!guest.child.exists)
            let after = try desk.leasehold("wait", "twice", "--json")
            for outcome in [during, after] {
                #expect(!outcome.output.contains("\"code\": 3"), "\(outcome)")
                if outcome.succeeded {
                    #expect(try outcome.json()["reason"] == "supervisorFailed")
                } else {
                    #expect(outcome.status == .exit(66))
                    #expect(outcome.errors.contains("killed"))
                }
            }
        }
    }

    @Test func waitTellsAStartThatCameToNothing() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let disk = try hosts.disk()
            _ = try desk.start("owner", disks: [disk])
            let starting = try desk.scratch.start(
                desk.supervised("never", options: ["--wait", "60s"], disks: [disk]))
            try eventually(within: 10) {
                try desk.leasehold("status", "never").output.contains("acquiring")
            }
            let waiting = try desk.scratch.start(desk.command("wait", "never"))
            pause(milliseconds: 300)
            #expect(try desk.leasehold("stop", "never", timeout: 10).succeeded)
            let told = try waiting.finish(timeout: 10)
            #expect(told.status == .exit(66) && told.output == "")
            #expect(!told.errors.contains("killed"), "\(told.errors)")
            #expect(try starting.wait(timeout: 10) == .signal(SIGTERM))
            #expect(try desk.exitRecord("never") == nil)
        }
    }

    @Test func stopAsksFirstAndThenKills() throws {
        try ControlDesk.with { desk in
            let ready = desk.scratch.file("ready")
            let polite = try desk.start(
                "polite",
                command: ["sh", "-c", "trap 'sleep 0.3; exit 4' TERM; : > \(ready); while :; do sleep 0.05; done"])
            try eventually(within: 10, every: 10) { access(ready, F_OK) == 0 }
            let record = try desk.json("stop", "polite", "--json")
            #expect(record["code"] == 4 && record["reason"] == "stopped")
            #expect(!polite.child.exists)

            let stubborn = try desk.start(
                "stubborn", command: try Probe.hostile("ignore-signals", pidFile: desk.scratch.file("pids")).command)
            try HostileRecord(desk.scratch.file("pids")).waitUntilReady()
            let start = monotonicNanoseconds()
            let killed = try desk.json("stop", "stubborn", "--timeout", "700ms", "--json")
            #expect((0.7...4).contains(secondsSince(start)), "\(secondsSince(start))")
            #expect(killed["signal"] == 9 && killed["reason"] == "stopped" && killed["leasesFree"] == true)
            #expect(!stubborn.child.exists)
        }
    }

    @Test func stopTakesTheSupervisorsTimeout() throws {
        try ControlDesk.with { desk in
            _ = try desk.start(
                "stubborn", options: ["--stop-timeout", "600ms"],
                command: try Probe.hostile("ignore-signals", pidFile: desk.scratch.file("pids")).command)
            try HostileRecord(desk.scratch.file("pids")).waitUntilReady()
            let start = monotonicNanoseconds()
            #expect(try desk.leasehold("stop", "stubborn").output.contains("died of signal 9 (stopped)"))
            #expect((0.6...4).contains(secondsSince(start)), "\(secondsSince(start))")
        }
    }

    @Test func killComesBetweenStopAndItsTimeout() throws {
        try ControlDesk.with { desk in
            _ = try desk.start(
                "stubborn", command: try Probe.hostile("ignore-signals", pidFile: desk.scratch.file("pids")).command)
            try HostileRecord(desk.scratch.file("pids")).waitUntilReady()
            let stopping = try desk.scratch.start(desk.command("stop", "stubborn", "--timeout", "60s", "--json"))
            try eventually(within: 5) { try desk.json("status", "stubborn", "--json")["state"] == "stopping" }
            let killed = try desk.json("kill", "stubborn", "--json")
            #expect(killed["signal"] == 9 && killed["reason"] == "killed")
            #expect(try stopping.finish(timeout: 5).expecting(.exit(0)).json() == killed)
        }
    }

    /// With each round on the other host, and by sanlock's own word: no patience of a start hides a lease that isn't free.
    @Test func stopAndKillReturnWhenTheLeasesAreFree() throws {
        let hosts = try TwoHosts.shared
        try hosts.waitUntilSeen()
        try ControlDesk.with { desk in
            let disks = try (0..<3).map { _ in try hosts.disk() }
            for round in 0..<20 {
                let host = round % 3 == 0 ? hosts.second : hosts.first
                let guest = try desk.on(host).start("again", disks: disks)
                #expect(try desk.leasehold(round % 2 == 0 ? "stop" : "kill", "again").succeeded)
                #expect(try hosts.holders(of: disks[round % 3]).isEmpty, "round \(round)")
                #expect(!guest.child.exists)
                #expect(try desk.guestNames() == [])
            }
            // And the last time with sanlock's own tool, which waits for nobody.
            _ = try desk.start("again", disks: disks)
            #expect(try desk.leasehold("kill", "again").succeeded)
            let other = try hosts.first.hold(try hosts.leaseText(disks[0]))
            other.end()
        }
    }

    /// A daemon that answers late shows what is waited for.
    @Test(arguments: ["Shutdown", "Kill"])
    func noAnswerComesBeforeTheRelease(method: String) throws {
        try withTwoHosts { hosts in
            try ControlDesk.with(hosts.first) { desk in
                let disk = try hosts.disk()
                let guest = try desk.start("held", disks: [disk])
                let connection = try ControlConnection(guest.control)
                _ = try connection.call("GetStatus")
                // What follows the start is asked of the daemon too, and has to be over.
                try eventually(within: 10) {
                    try connection.call("GetStatus")["status"]?["lockspaces"]?.array?.isEmpty == false
                }
                hosts.first.daemon.stop()
                try connection.send(method)
                let command = try desk.scratch.start(
                    desk.command(method == "Kill" ? "kill" : "stop", "held", "--json"))
                try eventually(within: 2, "the guest's end") { !guest.child.exists }
                var answer = pollfd(fd: connection.descriptor, events: Int16(POLLIN), revents: 0)
                #expect(poll(&answer, 1, 1500) == 0, "answered while the lease was held")
                #expect(command.isRunning)
                hosts.first.daemon.cont()
                let reply = try #require(try connection.receive())
                #expect(reply["parameters"]?["exit"]?["leasesFree"] == true, "\(reply)")
                #expect(try command.finish(timeout: 5).expecting(.exit(0)).json()["leasesFree"] == true)
                #expect(try hosts.holders(of: disk).isEmpty)
            }
        }
    }

    @Test func killEndsAGuestWhoseSupervisorIsStopped() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let disk = try hosts.disk()
            let guest = try desk.start("silent", disks: [disk])
            guest.supervisor.signal(SIGSTOP)
            let outcome = try desk.leasehold("kill", "silent", "--json", timeout: 25)
            #expect(outcome.succeeded)
            #expect(try outcome.json()["name"] == "silent", "\(outcome)")
            #expect(!guest.child.exists)
            #expect(try guest.supervisor.wait(timeout: 1) == .signal(SIGKILL))
            let next = try desk.start("silent", disks: [disk])
            #expect(next.child.exists)
        }
    }

    @Test func stopOfAStoppedSupervisorGivesUp() throws {
        try ControlDesk.with { desk in
            let guest = try desk.start("silent")
            guest.supervisor.signal(SIGSTOP)
            for command in [["status", "silent"], ["child-pid", "silent"], ["stop", "silent", "--timeout", "1s"]] {
                let outcome = try desk.program(try Products.cli(), command).run(timeout: 20)
                // What it wrote down last is shown, as that.
                let isShown = outcome.output.contains("Answers:") == (command[0] == "status")
                #expect(outcome.status == .exit(69) && isShown, "\(outcome)")
                #expect(outcome.errors.contains("silent"))
                #expect(outcome.errors.split(separator: "\n").count == 1)
            }
            guest.supervisor.signal(SIGCONT)
            #expect(try desk.leasehold("stop", "silent", timeout: 10).succeeded)
            #expect(!guest.child.exists)
        }
    }

    @Test func listEndsWhatTwoKilledProcessesLeft() throws {
        try ControlDesk.with { desk in
            let pids = desk.scratch.file("pids")
            let guest = try desk.start(
                "left", command: try Probe.hostile("setuid", "clear-pdeathsig", pidFile: pids).command)
            let record = HostileRecord(pids)
            try record.waitUntilReady()
            let keeper = try guest.keeper()
            keeper.signal(SIGSTOP)
            guest.supervisor.signal(SIGKILL)
            try guest.supervisor.wait(timeout: 5)
            keeper.signal(SIGKILL)
            try eventually(within: 5) { !keeper.exists }
            #expect(guest.child.exists)
            let outcome = try desk.leasehold("list").expecting(.exit(0))
            #expect(outcome.errors.contains("left") && outcome.errors.split(separator: "\n").count == 1)
            #expect(try record.living().isEmpty)
            #expect(try desk.guestNames() == [])
            #expect(try desk.leasehold("list").errors == "")
        }
    }
}

extension Program {
    /// Path and arguments in one.
    fileprivate var command: [String] { [path] + arguments }
}
