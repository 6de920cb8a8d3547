import Foundation
import Glibc
import Platform
import TestSupport
import Testing

@Suite struct RangeLockTests {
    @Test func byteIsLockedOnceAndOthersAreFree() throws {
        try withScratch { scratch in
            let first = try RangeLock(on: scratch.file("locks"))
            let second = try RangeLock(on: scratch.file("locks"))
            let farthest = Int64.max - 1
            for offset in [0, 1, 1 << 40, farthest] as [Int64] {
                expect(try first.tryLock(offset: offset, exclusive: true))
                expect(try !second.tryLock(offset: offset, exclusive: true))
                expect(try !second.tryLock(offset: offset, exclusive: false))
            }
            expect(try second.tryLock(offset: 2, exclusive: true))
        }
    }

    @Test func readersShareAByteThatNoWriterGets() throws {
        try withScratch { scratch in
            let first = try RangeLock(on: scratch.file("locks"))
            do {
                let second = try RangeLock(on: scratch.file("locks"))
                expect(try first.tryLock(offset: 7, exclusive: false))
                expect(try second.tryLock(offset: 7, exclusive: false))
                // A change of kind that isn't had leaves the old one.
                expect(try !first.tryLock(offset: 7, exclusive: true))
                expect(try !second.tryLock(offset: 7, exclusive: true))
                expect(try !first.tryLockAll())
            }
            // A program that another test starts just now has a copy until it executes.
            try eventually(within: 20) { try first.tryLock(offset: 7, exclusive: true) && first.tryLockAll() }
            let third = try RangeLock(on: scratch.file("locks"))
            expect(try !third.tryLock(offset: 8, exclusive: false))
        }
    }

    @Test func aFileThatWasRemovedIsNotInPlace() throws {
        try withScratch { scratch in
            let first = try RangeLock(on: scratch.file("locks"))
            expect(first.isInPlace)
            first.removeFile()
            expect(!first.isInPlace)
            let second = try RangeLock(on: scratch.file("locks"))
            expect(second.isInPlace && !first.isInPlace)
        }
    }

    @Test func waitEndsWithTheLockOrInTime() throws {
        try withScratch { scratch in
            let path = scratch.file("locks")
            let own = try RangeLock(on: path)
            let other = try RangeLock(on: path)
            expect(try other.tryLock(offset: 0, exclusive: true))
            let start = Clock.monotonicSeconds()
            expect(try !own.lock(offset: 0, exclusive: true, deadlineSeconds: start + 0.2))
            let waited = Clock.monotonicSeconds() - start
            #expect(waited >= 0.2 && waited < 5)
            expect(try !own.lock(offset: 0, exclusive: true, deadlineSeconds: start))

            let holder = try keeping(other, in: scratch)
            _ = consume other
            expect(try !own.tryLock(offset: 0, exclusive: true))
            DispatchQueue.global().asyncAfter(deadline: .now() + 0.1) { holder.closeInput() }
            expect(try own.lock(offset: 0, exclusive: true, deadlineSeconds: Clock.monotonicSeconds() + 20))
        }
    }

    @Test func locksLiveAsLongAsTheLastCopyOfTheDescriptor() throws {
        try withScratch { scratch in
            let path = scratch.file("locks")
            let other = try RangeLock(on: path)
            let holder: RunningProgram
            do {
                let own = try RangeLock(on: path)
                #expect(fcntl(own.number, F_GETFD) & FD_CLOEXEC != 0)
                expect(try own.tryLock(offset: 9, exclusive: true))
                holder = try keeping(own, in: scratch)
            }
            expect(try !other.tryLock(offset: 9, exclusive: true))
            holder.signal(SIGKILL)
            try holder.wait(timeout: 10)
            // A program that another test starts at this moment may have a copy until it executes.
            expect(try other.lock(offset: 9, exclusive: true, deadlineSeconds: Clock.monotonicSeconds() + 20))
        }
    }

    @Test func onlyAPlainFileThatMayBeWrittenIsALockFile() throws {
        try withScratch { scratch in
            let path = scratch.file("locks")
            let made = try RangeLock(on: path, mode: 0o640)
            expect(try made.tryLock(offset: 1 << 50, exclusive: true))
            #expect(try Files.kind(of: path)?.mode == 0o640 & ~mask)
            #expect(try Files.kind(of: path)?.size == 0)

            #expect(symlink(path, scratch.file("link")) == 0)
            #expect(mkfifo(scratch.file("fifo"), 0o600) == 0)
            #expect(failure(scratch.file("link")) == ELOOP)
            #expect(failure(scratch.file("fifo")) == 0)
            #expect(failure("/dev/null") == 0)
            #expect(failure(scratch.path) == EISDIR)
            #expect(failure(scratch.file("none/locks")) == ENOENT)
            #expect(throws: SystemError("fcntl", on: path, number: EINVAL)) {
                try RangeLock(on: path).tryLock(offset: -1, exclusive: true)
            }
        }
    }

    // MARK: Helpers

    // A macro can't look into a value that can't be copied.
    private func expect(_ holds: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(holds, sourceLocation: sourceLocation)
    }

    /// A program with a copy of the lock's descriptor, until its input ends.
    private func keeping(_ lock: borrowing RangeLock, in scratch: Scratch) throws -> RunningProgram {
        var program = Program("cat")
        program.input = .pipe
        program.passing = [5: lock.number]
        return try scratch.start(program)
    }

    private func failure(_ path: String) -> Int32? {
        do throws(SystemError) {
            _ = try RangeLock(on: path)
            return nil
        } catch {
            return error.number
        }
    }

    private var mask: UInt32 {
        (try? Files.read("/proc/self/status", limit: 65536)).flatMap { bytes in
            String(decoding: bytes, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("Umask:") }
                .flatMap { UInt32($0.dropFirst(6).trimmingCharacters(in: .whitespaces), radix: 8) }
        } ?? 0
    }
}
