import ArgumentParser
import ControlProtocol
import Glibc
import Platform
import SupervisorConnection

struct ChangeDisk: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "change-disk",
        abstract: "Have a guest's disk go over to another image, under leases all the while.",
        discussion: """
            Takes the lease of the new image, runs the command, which has QEMU change over (a snapshot, a mirror's end, a commit), and \
            gives the lease of the old one back. Where the command fails, or QEMU still writes the old image, the guest is left with the \
            leases that it had, and with that of the new image if QEMU has it open. Exits as the command does where that fails.
            """)

    @Argument(help: "The guest's name or UUID.") var guest: String
    @Argument(help: "The image that the guest writes now.") var old: String
    @Argument(help: "The image that it is to write.") var new: String
    @OptionGroup var waiting: WaitOption
    @OptionGroup var settings: ConfigurationOptions
    @Argument(parsing: .postTerminator, help: "What makes QEMU change over, behind a --.") var command: [String] = []

    func validate() throws {
        if command.isEmpty { throw ValidationError("no command to run; give what makes QEMU change over after --") }
    }

    func run() throws {
        let directory = try settings.runDirectory()
        let (old, new) = (try DiskArgument(old), try DiskArgument(new))
        guard !old.path.hasSameBytes(as: new.path) else {
            let same = "the old and the new image are the same, \(old.path)"
            throw Problem(Problem.usage, "\(same); name the one that is to be written")
        }
        let before = try status(of: try FoundGuest.named(guest, in: directory), named: guest, in: directory)
        guard let lease = before.leases.first(where: { $0.disk?.hasSameBytes(as: old.path) == true }) else {
            throw Problem(Problem.notFound, "\(guest) has no lease of \(old.path); see leasehold status \(guest)")
        }
        let hadNew = before.leases.contains { $0.disk?.hasSameBytes(as: new.path) == true }
        let disk = WireDisk(path: new.name, mode: lease.mode == .shared ? .shared : .exclusive)
        let take = Call.acquire(disks: [disk], leases: [], waitSeconds: waiting.seconds)
        _ = try order(take, guest, in: directory, doing: "taking the new image's lease for")
        do {
            let code = try ChangeDisk.run(command)
            guard code == 0 else { throw ExitCode(code) }
            try detach(old, guest, in: directory)
        } catch {
            // Refused where QEMU has it open: then the guest needs it.
            if !hadNew { try? detach(new, guest, in: directory) }
            throw error
        }
    }

    // Its streams are ours. What the terminal sends is for it, as of `system`: whatever it ends with, the leases are seen to.
    private static func run(_ command: [String]) throws -> Int32 {
        signal(SIGCHLD, SIG_DFL)
        var passed = sigset_t()
        sigemptyset(&passed)
        for number in [SIGINT, SIGQUIT] {
            let isIgnored = unsafeBitCast(signal(number, SIG_IGN), to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
            if !isIgnored { sigaddset(&passed, number) }
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setsigdefault(&attributes, &passed)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        var words = command.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var pid: pid_t = 0
        let failure = posix_spawnp(&pid, command[0], nil, &attributes, words, environ)
        guard failure == 0 else {
            throw Problem(
                failure == ENOENT ? 127 : 126, "\(command[0]): \(SystemError.text(of: failure)); see to the command")
        }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) != pid {
            guard errno == EINTR else {
                throw Problem(125, "\(command[0]): how it ended can't be told: \(SystemError.text(of: errno))")
            }
        }
        return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
    }
}
