import Foundation
import TestSupport
import Testing

/// A running guest's supervisor becomes another version of itself.
@Suite(.serialized) struct UpgradeTests {
    // A signal that is sent would wait, as all are blocked.
    private static let crash = "exec python3 -c 'import ctypes; ctypes.string_at(0)'"

    @Test func fiftyUpgradesUnderLoadChangeNothing() throws {
        let stage = try UpgradeStage(try TwoHosts.shared)
        let hosts = stage.stage.hosts
        let version = try stage.version()
        let held = try stage.held()
        let events = hosts.scratch.file("\(stage.stage.tag).events")
        var follower = try stage.stage.cli(["events", "guest"])
        follower.output = .file(events)
        let following = try hosts.scratch.start(follower)
        let waiting = try hosts.scratch.start(try stage.stage.cli(["wait", "guest", "--json"]))
        let loads = (0..<3).map { _ in ControlLoad(stage.control) }
        let crash = try stage.script(Self.crash, "crash")

        var first: (descriptors: [String], threads: Int, memory: Int)?
        for round in 1...50 {
            if round == 25 {
                let crashed = try stage.upgrade("--program", crash)
                expectOneLine(crashed, code: 69, naming: [crash, "died of signal 11"])
            } else {
                let told = try stage.upgrade("--json").expecting(.exit(0)).json()
                #expect(told["supervisorPid"]?.integer == Int(stage.program.pid), "\(told)")
                #expect(told["childPid"]?.integer == Int(stage.child.pid), "\(told)")
            }
            #expect(stage.child.exists && stage.keeper.exists && stage.program.isRunning, "round \(round)")
            #expect(stage.children == [stage.keeper.pid], "round \(round)")
            if round == 1 {
                pause(milliseconds: 300)
                // The load's own come and go.
                try eventually(within: 5) { try stage.descriptors().count >= 15 }
                first = (try stage.quietDescriptors(), stage.threads, try stage.privateMemory())
            }
        }
        let status = try stage.status()
        #expect(status["state"] == "running" && status["supervisorPid"]?.integer == Int(stage.program.pid))
        #expect(try stage.version() == version)
        #expect(try stage.held() == held)
        pause(milliseconds: 300)
        let begun = try #require(first)
        #expect(try stage.quietDescriptors() == begun.descriptors)
        #expect(stage.threads == begun.threads)
        let memory = try stage.privateMemory()
        print("private memory: \(begun.memory) kB after the first upgrade, \(memory) kB after the last")
        #expect(memory - begun.memory <= 64)
        try stage.expectWriting()
        #expect(stage.longestPause < 3, "the guest was held up for \(stage.longestPause) s")
        #expect(stage.writer.sightings.isEmpty)

        // Whoever followed it still does, and the numbers go on.
        let more = try hosts.disk()
        let before = try stage.lastSequence()
        try stage.stage.leasehold("attach-disk", "guest", more).expecting(.exit(0))
        try eventually(within: 5, "the event after \(before) being told: \(following) \(following.errors)") {
            try String(contentsOfFile: events, encoding: .utf8).contains("\"sequence\":\(before + 1),")
        }
        for load in loads {
            let result = try load.end()
            print("load: \(result.answers) answers on \(result.closings) connections that closed")
            #expect(result.refusals.isEmpty && result.answers > 0 && result.closings >= 40, "\(result)")
        }
        #expect(following.isRunning && waiting.isRunning)
        try stage.end()
        #expect(try waiting.finish(timeout: 5).expecting(.exit(0)).json()["reason"] == "killed")
        try following.wait(timeout: 5)
        let lines = try String(contentsOfFile: events, encoding: .utf8).split(separator: "\n")
        let sequences = try lines.compactMap { try JSONValue(parsing: String($0))["sequence"]?.integer }
        #expect(sequences == Array((before + 1)...(before + sequences.count)), "\(sequences)")
    }

    /// The supervisor closes the connection before anything was asked on it.
    @Test func whoeverBeginsToFollowDuringAnUpgradeFollows() throws {
        let stage = try UpgradeStage(try TwoHosts.shared)
        let before = try stage.descriptors().count
        let slowly = ["-D", "-o", "/dev/null", "-e", "trace=sendto", "-e", "inject=sendto:delay_enter=2000000:when=1"]
        let following = try stage.stage.hosts.scratch.start(
            try stage.stage.cli(["events", "guest"]).prefixed(by: ["strace"] + slowly))
        try eventually(within: 10, "its connection") { try stage.descriptors().count == before + 1 }
        try stage.upgrade().expecting(.exit(0))
        pause(milliseconds: 2500)
        let disk = try stage.stage.hosts.disk()
        try stage.stage.leasehold("attach-disk", "guest", disk).expecting(.exit(0))
        try eventually(within: 5, "the event being told: \(following.errors)") { following.output.contains(disk) }
        try stage.end()
        #expect(try following.wait(timeout: 5) == .exit(0))
    }

    // MARK: Refused

    @Test func aProgramThatCannotGoOnIsRefusedAndNothingChanges() throws {
        let stage = try UpgradeStage(try TwoHosts.shared)
        let scratch = stage.stage.hosts.scratch
        _ = try stage.version()
        let plain = try scratch.write("#!/bin/sh\n", to: "\(stage.stage.tag).plain")
        let empty = try scratch.write("", to: "\(stage.stage.tag).empty")
        chmod(empty, 0o755)
        let missing = scratch.file("missing")
        pause(milliseconds: 300)
        let before = (try stage.quietDescriptors(), stage.threads)
        let refusals = [
            (try stage.script(Self.crash, "segv"), "signal 11"), (plain, "Permission denied"),
            (empty, "Exec format error"), (missing, "No such file"), (scratch.path, "Permission denied"),
            ("/bin/true", "exited with 0"), (try stage.script("echo so long; exit 7", "exit"), "7: so long"),
            (try stage.script("exec sleep 60", "hang"), "within 5 s"),
            (try Products.cli(), "exited with"),
            // What was tried isn't what would be executed: a file that was replaced in between is the same.
            (
                try stage.script("exec '\(try Products.supervisor())' \"$@\"", "wrapped"),
                "was replaced after it was tried"
            ),
        ]
        for (program, words) in refusals {
            let outcome = try stage.upgrade("--program", program)
            expectOneLine(outcome, code: 69, naming: [program, words])
        }
        expectOneLine(try stage.upgrade("--program", ""), code: 64)
        try eventually(within: 5) { stage.children == [stage.keeper.pid] }
        #expect(try stage.quietDescriptors() == before.0)
        #expect(stage.threads == before.1)
        #expect(try stage.status()["state"] == "running")
        try stage.expectWriting()
        // After all that it can be upgraded.
        try stage.upgrade().expecting(.exit(0))
        try stage.expectWriting()
        try stage.end()
    }

    /// A client that goes away takes its upgrade with it.
    @Test func whatIsTriedEndsWithWhoeverAskedForIt() throws {
        let stage = try UpgradeStage(try TwoHosts.shared)
        let hang = try stage.script("exec sleep 60", "hang")
        let asking = try stage.stage.cli(["upgrade", "guest", "--program", hang]).start()
        try eventually(within: 5, "the trial") { stage.children.count == 2 }
        let second = try stage.upgrade()
        expectOneLine(second, code: 69, naming: ["another upgrade"])
        asking.end()
        try eventually(within: 2, "the trial's end") { stage.children == [stage.keeper.pid] }
        try stage.upgrade().expecting(.exit(0))
        try stage.end()
    }

    @Test func isRefusedWhileSomethingIsUnderWay() throws {
        let hosts = try TwoHosts.shared
        let stage = try UpgradeStage(hosts)
        let busy = try hosts.disk()
        try hosts.formatLease(busy)
        let holder = try hosts.second.hold(try hosts.leaseText(busy))
        let attaching = try hosts.scratch.start(
            try stage.stage.cli(["attach-disk", "guest", busy, "--wait", "60s"]))
        try attaching.waitUntilItAwaitsAnAnswer()
        expectOneLine(try stage.upgrade(), code: 69, naming: ["under way"])
        // One that begins while the program is tried goes first.
        let slow = try stage.script("sleep 3; exec \"\(try Products.supervisor())\" \"$@\"", "slow")
        attaching.end()
        try eventually(within: 5) { try stage.stage.leasehold("detach-disk", "guest", busy).status == .exit(66) }
        let upgrading = try hosts.scratch.start(try stage.stage.cli(["upgrade", "guest", "--program", slow]))
        try eventually(within: 5, "the trial") { stage.children.count == 2 }
        let again = try hosts.scratch.start(try stage.stage.cli(["attach-disk", "guest", busy, "--wait", "60s"]))
        expectOneLine(try upgrading.finish(timeout: 10), code: 69, naming: ["under way"])
        holder.end()
        #expect(try again.wait(timeout: 10) == .exit(0))
        try stage.end()
    }

    @Test func isRefusedWhileTheGuestIsBeingStopped() throws {
        let stage = try KillStage.shared()
        let guest = try stage.start("ignore-signals", options: ["--stop-timeout", "60s"])
        guest.supervisor.signal(SIGTERM)
        try eventually(within: 5) {
            try stage.leasehold("status", "guest", "--json").json()["state"] == "stopping"
        }
        expectOneLine(try stage.leasehold("upgrade", "guest"), code: 75)
        try stage.leasehold("kill", "guest").expecting(.exit(0))
        try stage.expectNothingLeft()
    }

    @Test func isRefusedWhileTheDaemonHangs() throws {
        try withTwoHosts(ioTimeout: 4) { hosts in
            let stage = try UpgradeStage(hosts)
            hosts.first.daemon.stop()
            // By then a look hangs.
            pause(milliseconds: 9500)
            expectOneLine(try stage.upgrade(), code: 69, naming: ["does not answer"])
            hosts.first.daemon.cont()
            try eventually(within: 20) { try stage.upgrade().status == .exit(0) }
            try stage.expectWriting()
            try stage.end()
        }
    }
}

extension UpgradeStage {
    /// A script that an upgrade may be asked to become.
    func script(_ text: String, _ name: String) throws -> String {
        let path = try stage.hosts.scratch.write("#!/bin/sh\n\(text)\n", to: "\(stage.tag).\(name)")
        chmod(path, 0o755)
        return path
    }

    /// Without what belongs to clients that happen to be connected.
    func quietDescriptors() throws -> [String] {
        try descriptors().filter { $0 != "socket:" }
    }

    /// The number of the last event.
    func lastSequence() throws -> Int {
        let data = FileManager.default.contents(atPath: "\(stage.runDirectory)/guests/guest/state.json") ?? Data()
        guard let number = try JSONValue(parsing: data)["events"]?.array?.last?["sequence"]?.integer else {
            throw TestFailure("no events in state.json")
        }
        return number
    }
}
