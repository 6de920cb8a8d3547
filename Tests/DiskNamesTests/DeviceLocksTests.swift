import Foundation
import Platform
import TestSupport
import Testing

@testable import DiskNames

@Suite struct DeviceLocksTests {
    @Test func diskUnderAnotherNameIsRefused() throws {
        try withScratch { scratch in
            let disk = try scratch.disk("disk.img")
            #expect(symlink(disk, scratch.file("link.img")) == 0)
            let loop = try LoopDevice(in: scratch, file: "backing.img")
            #expect(mknod(scratch.file("node"), S_IFBLK | 0o600, loop.device) == 0)
            var first = try DeviceLocks(in: scratch.path)
            var second = try DeviceLocks(in: scratch.path)
            expect(try first.take(identity(disk), shared: false))
            expect(try first.take(identity(loop.path), shared: false))
            for path in [scratch.file("link.img"), scratch.file("node")] {
                expect(try !second.take(identity(path), shared: false))
                expect(try !second.take(identity(path), shared: true))
            }
            expect(try second.take(identity(try scratch.disk("other.img")), shared: false))
        }
    }

    @Test func onlySharersShare() throws {
        try withScratch { scratch in
            let disk = try identity(scratch.disk("disk.img"))
            var first = try DeviceLocks(in: scratch.path)
            var second = try DeviceLocks(in: scratch.path)
            expect(try first.take(disk, shared: true))
            expect(try second.take(disk, shared: true))
            expect(try !second.take(disk, shared: false))
            // The one that was refused more still shares.
            _ = consume first
            var third = try DeviceLocks(in: scratch.path)
            expect(try !third.take(disk, shared: false))
        }
    }

    @Test func holderMayNameADiskTwiceAndKeepsTheStrongerLock() throws {
        try withScratch { scratch in
            let disk = try identity(scratch.disk("disk.img"))
            var first = try DeviceLocks(in: scratch.path)
            var second = try DeviceLocks(in: scratch.path)
            expect(try first.take(disk, shared: true))
            expect(try first.take(disk, shared: false))
            expect(try first.take(disk, shared: false))
            expect(try first.take(disk, shared: true))
            expect(try !second.take(disk, shared: true))
        }
    }

    @Test func locksLiveAsLongAsAnyProcessHasThem() throws {
        try withScratch { scratch in
            let disk = try identity(scratch.disk("disk.img"))
            var keeper = Program("sleep", ["60"])
            let running: RunningProgram
            do {
                var own = try DeviceLocks(in: scratch.path)
                #expect(fcntl(own.number, F_GETFD) & FD_CLOEXEC != 0)
                expect(try own.take(disk, shared: false))
                keeper.passing = [7: own.number]
                running = try scratch.start(keeper)
            }
            var later = try DeviceLocks(in: scratch.path)
            expect(try !later.take(disk, shared: true))
            running.signal(SIGKILL)
            try running.wait(timeout: 10)
            // A program that another test starts at this moment may have a copy until it executes.
            try eventually(within: 20) { try later.take(disk, shared: false) }
        }
    }

    @Test func fileIsTheOwnersAlone() throws {
        try withScratch { scratch in
            var locks = try DeviceLocks(in: scratch.path)
            expect(try locks.take(try identity(scratch.disk("disk.img")), shared: false))
            let file = status(of: scratch.file("devices"))
            #expect(file.st_mode & 0o7777 == 0o600)
            #expect(file.st_size == 0)
            #expect(throws: SystemError("open", on: scratch.file("none/devices"), number: ENOENT)) {
                _ = try DeviceLocks(in: scratch.file("none"))
            }
        }
    }

    // Programs of different versions run at once, so the numbers are for good.
    @Test func byteOfADiskIsTheSameInEveryProcessAndVersion() {
        // The algorithm's own test vectors.
        #expect(StableHash.fnv1a([]) == 0xcbf2_9ce4_8422_2325)
        #expect(StableHash.fnv1a("a".utf8) == 0xaf63_dc4c_8601_ec8c)
        #expect(StableHash.fnv1a("foobar".utf8) == 0x8594_4171_f739_67e8)

        #expect(DeviceLocks.offset(of: DiskIdentity(.blockDevice(number: 0x700))) == 1_504_897_027_913_946_184)
        // The two highest bits of this one's hash are set.
        #expect(DeviceLocks.offset(of: DiskIdentity(.blockDevice(number: 0x703))) == 2_960_573_939_338_681_076)
        #expect(
            DeviceLocks.offset(of: DiskIdentity(.file(device: 0xfe00, inode: 0x1_0000_0002)))
                == 980_440_214_304_220_436)
    }

    @Test func byteOfADiskIsOneThatCanBeLocked() throws {
        var offsets: Set<Int64> = []
        for number in 0..<2000 as Range<UInt64> {
            offsets.insert(DeviceLocks.offset(of: DiskIdentity(.blockDevice(number: number))))
            offsets.insert(DeviceLocks.offset(of: DiskIdentity(.file(device: 0, inode: number))))
            offsets.insert(DeviceLocks.offset(of: DiskIdentity(.file(device: number + 1, inode: 0))))
        }
        #expect(offsets.count == 6000)
        #expect(offsets.allSatisfy { $0 >= 0 && $0 < 1 << 62 })
    }

    // MARK: Helpers

    // A macro can't look into a value that can't be copied.
    private func expect(_ holds: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(holds, sourceLocation: sourceLocation)
    }

    private func identity(_ path: String) throws -> DiskIdentity { try #require(DiskIdentity(of: path)) }
}
