import Foundation
import TestSupport
import Testing

extension CleanupTests {
    /// A daemon is held up while a clean-up removes the file that it is at.
    @Suite(.serialized) struct LateComers {
        /// Holds a daemon's threads up at the end of a call that has to do with a file, until strace is ended.
        private func slow(_ daemon: SanlockDaemon, _ call: String, _ path: String, _ scratch: Scratch) throws
            -> RunningProgram
        {
            let tracer = try scratch.start(
                Program(
                    "strace",
                    [
                        "-f", "-o", "/dev/null", "-e", "trace=\(call)", "-P", path, "-e",
                        "inject=\(call):delay_exit=60000000", "-p", "\(daemon.pid)",
                    ]))
            try tracer.waitForOutput("attached", in: .errors)
            return tracer
        }

        /// Ours takes the old file's leader as well; with libvirt's way only the start's own look helps.
        @Test(arguments: ["ours", "libvirt's"])
        func aStartThatOpenedTheFileBeforeItWasRemovedDoesNotGetIt(cleanUp: String) throws {
            try withTwoHosts { hosts in
                try hosts.waitUntilSeen()
                let stage = try CleanupStage(hosts)
                let disk = try stage.freeDisks(1)[0]
                let path = try hosts.leasePath(disk)
                let tracer = try slow(hosts.second.daemon, "openat", path, hosts.scratch)
                // Its daemon has the file open from now on, and reads it later.
                let late = try hosts.scratch.start(
                    try stage.second.supervised(
                        ["--name", "late", "--disk", disk], Probe.command("claim", disk, "late", "3")))
                pause(milliseconds: 500)
                if cleanUp == "ours" {
                    #expect(try stage.cleanUp() == CleanupCounts(removed: 1))
                } else {
                    try hosts.first.daemon.sanlock(
                        "client", "command", "-r", try hosts.leaseText(disk), "-c", "/bin/rm", "-f", path
                    ).expecting(.exit(0))
                }
                // What the clean-up's host held before it came back nobody holds.
                for order in ["leave", "join"] { try stage.first.leasehold("lockspace", order).expecting(.exit(0)) }
                let other = try hosts.scratch.start(
                    try stage.first.supervised(
                        ["--name", "other", "--disk", disk], Probe.command("claim", disk, "other", "10")))
                try Guest(running: other, name: "other", station: stage.first).waitUntilRecorded(disk, within: 10)
                tracer.signal(SIGTERM)
                try tracer.wait()
                expectOneLine(try late.finish(), code: 75, naming: ["guest other"])
                let outcome = try other.finish()
                #expect(outcome.status == .exit(0), "\(outcome)")
                // And nothing is left of it in the new file; after libvirt's way that can't be helped.
                if cleanUp != "ours" { return }
                for station in [stage.second, stage.first] {
                    let next = try station.supervised(["--name", "next", "--disk", disk], Probe.command("exit", "0"))
                    try next.run(timeout: 10).expecting(.exit(0))
                }
            }
        }

        @Test func aFileThatIsMadeBeforeTheCleanUpHasGivenUpTheOldOneIsWhole() throws {
            try CleanupStage.shared { stage in
                let hosts = stage.hosts
                let disk = try stage.freeDisks(1, uses: 4)[0]
                let path = try hosts.leasePath(disk)
                let running = try hosts.scratch.start(
                    try stage.traced(
                        ["-o", "/dev/null", "-e", "trace=unlink", "-P", path, "-e", "inject=unlink:delay_exit=1500000"])
                )
                try eventually(within: 10, "the file being removed") { FileSight(path) == nil }
                // As libvirt makes it, which waits for nobody.
                try hosts.formatLease(disk)
                try running.finish().expecting(.exit(0))
                let before = FileSight(path)
                for host in [hosts.second, hosts.first] {
                    try host.daemon.sanlock(
                        "client", "command", "-r", try hosts.leaseText(disk), "-c", "/bin/true", timeout: 10
                    ).expecting(.exit(0))
                }
                try stage.second.supervised(["--name", "next", "--disk", disk], Probe.command("exit", "0"))
                    .run(timeout: 10).expecting(.exit(0))
                #expect(FileSight(path) == before)
                #expect(try stage.cleanUp() == CleanupCounts(removed: 1))
            }
        }
    }
}
