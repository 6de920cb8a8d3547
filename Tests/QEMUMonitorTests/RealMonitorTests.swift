import ControlProtocol
import Foundation
import QEMUMonitor
import TestSupport
import Testing

/// What QEMU really says, and what its words are worth; docs/decisions/qmp.md rests on it.
@Suite(.serialized) struct RealMonitorTests {
    @Test func stopHoldsUntilContAndTheGuestWritesNothingBetween() throws {
        try withGuest(BootSector.writer()) { stage in
            let monitor = try MonitorClient.ready(stage.socket)
            try eventually(within: 20) { try stage.counter() > 3 }
            #expect(try monitor.status().isRunning)
            #expect(try monitor.execute(.stop) == .done([:]))
            #expect(try monitor.next { $0 == .event(.stopped) } != nil)
            #expect(try monitor.status().word == "paused")
            #expect(try monitor.status().staysStopped)
            let written = try stage.counter()
            pause(milliseconds: 500)
            #expect(try stage.counter() == written)
            #expect(try monitor.execute(.stop) == .done([:]))
            #expect(try monitor.execute(.cont) == .done([:]))
            #expect(try monitor.next { $0 == .event(.resumed) } != nil)
            #expect(try monitor.status().isRunning)
            try eventually(within: 5) { try stage.counter() > written }
        }
    }

    @Test func stopIsAnsweredAfterTheWritesInFlightNotWithTheEvent() throws {
        try withGuest(BootSector.writer(disk: 0x81), more: slowDisk()) { stage in
            let monitor = try MonitorClient.ready(stage.socket)
            try stage.waitUntilWriting()
            let start = monotonicNanoseconds()
            let id = try monitor.send(.stop)
            #expect(try monitor.next { $0 == .event(.stopped) } != nil)
            // The event had come before. The flush alone takes a second.
            #expect(try monitor.reply(to: id) == .done([:]))
            #expect(secondsSince(start) > 0.9)
        }
    }

    @Test func withADiskThatHangsNothingIsAnsweredAfterStop() throws {
        try withGuest(BootSector.writer()) { stage in
            let monitor = try MonitorClient.ready(stage.socket)
            try eventually(within: 20) { try stage.counter() > 3 }
            // Its next write never ends.
            try QMP(stage.otherSocket).execute(
                "human-monitor-command", ["command-line": "qemu-io boot \"break pwritev hanging\""])
            pause(milliseconds: 200)
            let written = try stage.counter()
            pause(milliseconds: 200)
            #expect(try stage.counter() == written)
            #expect(try monitor.status().isRunning)
            let id = try monitor.send(.stop)
            #expect(try monitor.next { $0 == .event(.stopped) } != nil)
            #expect(try monitor.reply(to: id, timeout: 1) == nil)
            #expect(try monitor.execute(.queryStatus, timeout: 1) == nil)
            let other = try MonitorClient(stage.otherSocket)
            #expect(try other.next { if case .greeted = $0 { true } else { false } } != nil)
            try other.send(.capabilities)
            #expect(try other.next(timeout: 1) { $0 == .ready } == nil)
            #expect(stage.program.isRunning)
        }
    }

    @Test func aGuestThatIsAsleepIsNotHeldByStop() throws {
        try withGuest(BootSector.sleeper) { stage in
            let monitor = try MonitorClient.ready(stage.socket)
            try eventually(within: 20) { try monitor.status().word == "suspended" }
            #expect(try monitor.next { $0 == .event(.suspended) } != nil)
            #expect(try !monitor.status().isRunning)
            #expect(try !monitor.status().staysStopped)
            #expect(try monitor.execute(.stop) == .done([:]))
            #expect(try monitor.status().word == "suspended")
            let other = try QMP(stage.otherSocket)
            try other.execute("system_wakeup")
            #expect(try monitor.next { $0 == .event(.woken) } != nil)
            // It boots, and sleeps again: its processor ran.
            #expect(try monitor.next { $0 == .event(.suspended) } != nil)
        }
    }

    @Test func aGuestThatWasNotStartedAndOneWithAFailedDiskStayStopped() throws {
        try withGuest(BootSector.writer(), more: ["-S"]) { stage in
            let monitor = try MonitorClient.ready(stage.socket)
            #expect(try monitor.status().word == "prelaunch")
            #expect(try monitor.status().staysStopped)
            #expect(try monitor.execute(.stop) == .done([:]))
            #expect(try monitor.status().word == "prelaunch")
        }
        try withGuest(BootSector.writer(), isFailing: true) { stage in
            let monitor = try MonitorClient.ready(stage.socket)
            try eventually(within: 20) { try !monitor.status().isRunning }
            #expect(try monitor.status().word == "io-error")
            #expect(try monitor.status().staysStopped)
            #expect(try monitor.execute(.stop) == .done([:]))
            #expect(try monitor.status().word == "io-error")
        }
    }

    @Test func aDescriptorStaysWithQEMUWhenTheClientLeaves() throws {
        try withGuest(BootSector.writer(), more: ["-S"]) { stage in
            let file = stage.scratch.file("passed")
            try stage.scratch.write("", to: "passed")
            let passed = open(file, O_RDONLY | O_CLOEXEC)
            #expect(passed >= 0)
            defer { close(passed) }
            func isHeld() -> Bool { processes(holdingOpen: file).contains { $0.pid == stage.program.pid } }
            do {
                let monitor = try MonitorClient.ready(stage.socket)
                guard case .refused("GenericError", _) = try monitor.execute(.getDescriptor(name: "lease")) else {
                    Issue.record("getfd without a descriptor was taken")
                    return
                }
                #expect(try monitor.execute(.getDescriptor(name: "lease"), passing: passed) == .done([:]))
                #expect(isHeld())
            }
            let monitor = try MonitorClient.ready(stage.socket)
            #expect(isHeld())
            #expect(try monitor.execute(.closeDescriptor(name: "lease")) == .done([:]))
            #expect(!isHeld())
        }
    }

    @Test func aSecondClientIsGreetedWhenTheFirstHasLeft() throws {
        try withGuest(BootSector.writer(), more: ["-S"]) { stage in
            var first: MonitorClient? = try MonitorClient.ready(stage.socket)
            #expect(try first?.status().word == "prelaunch")
            let second = try MonitorClient(stage.socket)
            #expect(try second.next(timeout: 1) { _ in true } == nil)
            #expect(!second.hasEnded)
            first = nil
            #expect(try second.next { if case .greeted = $0 { true } else { false } } != nil)
        }
    }

    @Test func aStoppedProcessAnswersWhenItGoesOn() throws {
        try withGuest(BootSector.writer(), more: ["-S"]) { stage in
            let monitor = try MonitorClient.ready(stage.socket)
            stage.program.signal(SIGSTOP)
            let id = try monitor.send(.queryStatus)
            #expect(try monitor.reply(to: id, timeout: 0.5) == nil)
            #expect(!monitor.hasEnded)
            stage.program.signal(SIGCONT)
            #expect(try monitor.reply(to: id) != nil)
        }
    }

    @Test func quitIsAnsweredAndThenTheConnectionEnds() throws {
        try withGuest(BootSector.writer(), more: ["-S"]) { stage in
            let monitor = try MonitorClient.ready(stage.socket)
            #expect(try monitor.execute(.quit) == .done([:]))
            #expect(try monitor.next { $0 == .event(.shutdown) } != nil)
            #expect(try monitor.next { _ in true } == nil)
            #expect(monitor.hasEnded)
            #expect(try stage.program.wait() == .exit(0))
        }
    }

    @Test func aKilledQEMUEndsTheConnection() throws {
        try withGuest(BootSector.writer(), more: ["-S"]) { stage in
            let monitor = try MonitorClient.ready(stage.socket)
            stage.program.signal(SIGKILL)
            #expect(try monitor.next { _ in true } == nil)
            #expect(monitor.hasEnded)
        }
    }

    @Test func aMonitorThatWritesOverManyLinesIsUnderstood() throws {
        try withGuest(BootSector.writer()) { stage in
            let pretty = stage.scratch.file("pretty")
            let monitor = try MonitorClient.ready(pretty)
            #expect(try monitor.status().isRunning)
            #expect(try monitor.execute(.stop) == .done([:]))
            #expect(try monitor.next { $0 == .event(.stopped) } != nil)
        }
    }

    @Test func aMonitorForPeopleIsNoQMP() throws {
        try withGuest(BootSector.writer(), more: ["-S"]) { stage in
            let monitor = try MonitorClient(stage.scratch.file("people"))
            let error = #expect(throws: MonitorError.self) { try monitor.next { _ in true } }
            guard case .notJSON = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }
}

/// A running QEMU and its sockets.
private struct Stage {
    let scratch: Scratch
    let program: RunningProgram
    let disk: String
    let socket: String
    let otherSocket: String

    /// The last counter that a `BootSector.writer` wrote to its own disk.
    func counter() throws -> UInt32 {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: disk))
        return stride(from: 512, to: bytes.count, by: 512).map { start in
            bytes[start..<start + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }.max() ?? 0
    }

    /// Waits until a `BootSector.writer` can be taken to be at the second disk: that firmware and boot sector have been read.
    func waitUntilWriting() throws {
        let other = try QMP(otherSocket)
        try eventually(within: 20, every: 50) {
            let devices = try other.execute("query-blockstats").array ?? []
            return devices.contains { ($0["stats"]?["rd_bytes"]?.integer ?? 0) >= 512 }
        }
        pause(milliseconds: 200)
    }
}

/// A second disk that answers reads, writes and flushes after a second.
private func slowDisk() -> [String] {
    [
        "-blockdev", "driver=null-co,node-name=slow,size=1048576,read-zeroes=on,latency-ns=1000000000",
        "-device", "ide-hd,drive=slow,bus=ide.0,unit=1",
    ]
}

private func withGuest(
    _ sector: Data, more: [String] = [], isFailing: Bool = false, _ body: (Stage) throws -> Void
) throws {
    try withScratch { scratch in
        let disk = try scratch.bootDisk("disk", sector)
        let (socket, otherSocket) = (scratch.file("qmp"), scratch.file("other"))
        let failing = isFailing ? #","inject-error":[{"event":"none","errno":5,"iotype":"write"}]"# : ""
        let node =
            #"{"driver":"blkdebug","node-name":"boot","image":{"driver":"file","filename":"\#(disk)"}\#(failing)}"#
        let program = try scratch.start(
            Program(
                command: QEMU.command(
                    qmpSocket: socket,
                    more: [
                        "-blockdev", node, "-device", "ide-hd,drive=boot,bus=ide.0,unit=0,werror=stop",
                        "-qmp", "unix:\(otherSocket),server=on,wait=off",
                        "-chardev", "socket,id=pretty,path=\(scratch.file("pretty")),server=on,wait=off",
                        "-mon", "chardev=pretty,mode=control,pretty=on",
                        "-monitor", "unix:\(scratch.file("people")),server=on,wait=off",
                    ] + more)))
        try body(Stage(scratch: scratch, program: program, disk: disk, socket: socket, otherSocket: otherSocket))
    }
}
