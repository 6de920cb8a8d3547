import Glibc
import Platform
import TestSupport
import Testing

// TestSupport has one of that name as well, which is none of the product.
private typealias Identity = Platform.ProcessIdentity

@Suite struct FilesAndLocksTests {
    @Test func lockTellsWhetherItsHolderLives() throws {
        try withScratch { scratch in
            let path = scratch.file("supervisor.pid")
            #expect(LifeLock.holder(of: path) == nil)
            do {
                let lock = try LifeLock(on: path)
                let isTaken = lock != nil
                #expect(isTaken)
                #expect(LifeLock.holder(of: path) == getpid())
                // A second look, by the holder itself, doesn't drop it.
                #expect(LifeLock.isHeld(path))
                #expect(LifeLock.isHeld(path))
                let isTakenTwice = try LifeLock(on: path) != nil
                #expect(!isTakenTwice)
                _ = consume lock
            }
            // A program that another test starts just now has a copy until it executes.
            try eventually(within: 20) { !LifeLock.isHeld(path) }
        }
    }

    @Test func fileIsWrittenWholeWhateverTheUmask() throws {
        try withScratch { scratch in
            let path = scratch.file("record")
            try Files.writeWhole(Array("first".utf8), to: path, mode: 0o640)
            try Files.writeWhole(Array("second".utf8), to: path, mode: 0o640)
            #expect(try Files.read(path, limit: 100) == Array("second".utf8))
            #expect(try Files.kind(of: path)?.mode == 0o640)
            #expect(try Files.names(in: scratch.path).filter { $0.contains("new") } == [])
        }
    }

    @Test func criticalSectionIsWaitedForAndNoLonger() throws {
        try withScratch { scratch in
            let path = scratch.path
            do {
                let section = try SectionLock(on: path, waitingSeconds: 1)
                defer { _ = section }
                #expect(isBusy(path))
            }
            #expect(!isBusy(path))
        }
    }

    private func isBusy(_ path: String) -> Bool {
        do throws(SystemError) {
            _ = try SectionLock(on: path, waitingSeconds: 0.1)
            return false
        } catch {
            return error.number == EWOULDBLOCK
        }
    }

    @Test func pipeThatNobodyReadsHasNoRoom() throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        #expect(Files.hasRoom(ends[1]))
        _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
        let block = [UInt8](repeating: 0, count: 4096)
        while write(ends[1], block, block.count) > 0 {}
        #expect(!Files.hasRoom(ends[1]))
    }

    @Test func whatCannotBeReadTwiceIsNotRead() throws {
        try withScratch { scratch in
            let fifo = scratch.file("fifo")
            #expect(mkfifo(fifo, 0o600) == 0)
            #expect(throws: SystemError.self) { try Files.read(fifo, limit: 10) }
            #expect(throws: SystemError.self) { try Files.read("/dev/zero", limit: 10) }
            #expect(throws: SystemError.self) { try Files.read(scratch.path, limit: 10) }
        }
    }

    /// Of what can't be opened nobody can say that its writes are done.
    @Test func onlyWhatIsThereAndSyncedHasSettled() throws {
        try withScratch { scratch in
            try Files.settle(try scratch.write("x", to: "file"))
            try Files.settle(scratch.file("missing"))
            try Files.settle("/dev/null")
            #expect(symlink("loop", scratch.file("loop")) == 0)
            let failure = #expect(throws: SystemError.self) { try Files.settle(scratch.file("loop")) }
            #expect(failure?.number == ELOOP)
        }
    }

    @Test func readStopsAtItsLimit() throws {
        try withScratch { scratch in
            let path = scratch.file("long")
            try Files.writeWhole([UInt8](repeating: 7, count: 300_000), to: path)
            #expect(try Files.read(path, limit: 200_000).count == 200_000)
            #expect(try Files.read(path, limit: 400_000).count == 300_000)
        }
    }

    @Test func longSocketPathIsRefused() {
        let path = "/tmp/" + String(repeating: "x", count: UnixSocket.longestPath)
        #expect(throws: SystemError.self) { _ = try UnixSocket.listen(at: path) }
    }
}

@Suite struct ProcessIdentityTests {
    @Test func processIsToldFromALaterOne() throws {
        let own = try #require(Identity(runningAs: getpid()))
        #expect(own.exists && own.isAlive)
        let other = Identity(pid: own.pid, startTime: own.startTime + 1)
        #expect(!other.exists && !other.isAlive)
        // A signal to it reaches nobody.
        #expect(!other.signal(0))
        #expect(own.signal(0))
    }

    @Test func endedProcessIsEnding() throws {
        let program = try Program("sleep", ["20"]).start()
        #expect(!Identity.isEnding(program.pid))
        kill(program.pid, SIGKILL)
        _ = try eventually(within: 5, every: 5, "the process ends") { Identity.isEnding(program.pid) }
        _ = try program.wait(timeout: 5)
    }
}

@Suite struct PrintableTextTests {
    @Test func nothingMovesTheCursor() {
        #expect("a\nb\u{1b}[31m\u{7f}\u{202e}é".printable == "a\\u{a}b\\u{1b}[31m\\u{7f}\\u{202e}é")
    }

    @Test func sameBytesAreNotSameLooks() {
        #expect("\u{e9}" == "e\u{301}")
        #expect(!"\u{e9}".hasSameBytes(as: "e\u{301}"))
        #expect("/\u{301}x".startsWithBytes(of: "/"))
    }
}
