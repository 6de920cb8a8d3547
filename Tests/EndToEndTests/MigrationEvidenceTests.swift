import Foundation
import TestSupport
import Testing

/// What would show that both sides of a migration ran: seen here with two emulators that nobody holds back.
@Suite struct MigrationEvidenceTests {
    @Test func twoSidesThatRunAtOnceAreSeen() throws {
        try withScratch { scratch in
            let disk = try scratch.disk("disk")
            let writer = try WriterGuest(identity: 1, disk: disk, hertz: 50, in: scratch)
            let observer = try DiskObserver(disk)
            defer { observer.end() }
            let uri = "unix:\(scratch.file("in"))"
            let source = try Bare("a", writer, scratch, [])
            try eventually(within: 20, every: 10, "the guest writing") { (observer.lastWrite(of: 1)?.number ?? 0) > 20 }
            let target = try Bare("b", writer, scratch, ["-S", "-incoming", uri])
            defer { for side in [source, target] { side.watch.end() } }
            try source.monitor.execute("migrate", ["uri": .string(uri)])
            try eventually(within: 30, every: 10) { try source.monitor.status() == "postmigrate" }
            try eventually(within: 30, every: 10) { try target.monitor.status() == "paused" }

            // One side after the other shows nothing.
            try target.monitor.execute("cont")
            let moved = observer.writes(of: 1).count
            try eventually(within: 20, every: 10) { observer.writes(of: 1).count > moved + 10 }
            #expect(source.watch.writes.count > 0 && target.watch.writes.count > 0)
            #expect(RunnerWatch.overlap(source.watch, target.watch) == nil)
            #expect(writer.doubles(in: source.report) + writer.doubles(in: target.report) == [])
            #expect(observer.falls == 0)

            // Both at once are seen in each way.
            try source.monitor.execute("cont")
            try eventually(within: 20, every: 10, "the kernel's counts and the monitors telling") {
                RunnerWatch.overlap(source.watch, target.watch) != nil
            }
            try eventually(within: 20, every: 10, "the guests telling") {
                !writer.doubles(in: source.report).isEmpty && !writer.doubles(in: target.report).isEmpty
            }
            try eventually(within: 20, every: 10, "numbers going back") { observer.falls > 0 }
        }
    }
}

/// An emulator without a supervisor.
private struct Bare {
    let monitor: QMP
    let report: String
    let watch: RunnerWatch

    init(_ name: String, _ writer: WriterGuest, _ scratch: Scratch, _ more: [String]) throws {
        let sockets = ["t", "w"].map { scratch.file("\(name)\($0)") }
        report = scratch.file("report-\(name)")
        let second = ["-qmp", "unix:\(sockets[1]),server=on,wait=off"]
        let program = try scratch.start(
            Program(command: writer.command(qmpSocket: sockets[0], report: report, more: second + more)))
        monitor = try QMP(sockets[0])
        watch = try RunnerWatch(name, emulator: program.identity, socket: sockets[1])
    }
}
