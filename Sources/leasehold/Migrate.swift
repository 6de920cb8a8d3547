import ArgumentParser
import ControlProtocol
import Glibc
import Platform
import SupervisorConnection

struct Migrate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Move a running guest, and its leases, to another host.",
        discussion: """
            The target is started with leasehold run --incoming: it is loaded, stands still, and has no lease. Then, on the source: \
            prepare; QEMU's own migration; out, which prints a ticket. On the target: in, with the ticket, which takes the very \
            versions that the source gave back and lets the guest run. Last, the source's guest is killed. --cancel on either side, at \
            any step, goes back. run does all of it.
            """,
        subcommands: [Prepare.self, Out.self, In.self, MigrateRun.self])

    struct Prepare: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "On the source, before QEMU's migration: print a ticket with the guest's disks and leases.")

        @Argument(help: "The guest's name or UUID.") var guest: String
        @Option(
            help: ArgumentHelp("Where it goes; stands in the ticket, and nothing is done with it.", valueName: "uri"))
        var to: String
        @OptionGroup var settings: ConfigurationOptions
        @Flag(help: "The same: a ticket is JSON.") var json = false

        func run() throws {
            let reply = try order(.prepareMigrate(uri: to), guest, in: try settings.runDirectory(), doing: "preparing")
            try Migrate.show(reply)
        }
    }

    struct Out: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "On the source: give the leases back once QEMU has stopped the guest, and print the ticket for in.",
            discussion: """
                Waits for QEMU's migration to end. With --cancel the guest goes on here: its leases are taken again as they were given \
                back, or as the target has given them back; anybody else who had one in between keeps the guest stopped.
                """)

        @Argument(help: "The guest's name or UUID.") var guest: String
        @Flag(help: "Go back: the guest runs here.") var cancel = false
        @OptionGroup var settings: ConfigurationOptions
        @Flag(help: "The same: a ticket is JSON.") var json = false

        func run() throws {
            let directory = try settings.runDirectory()
            let reply: ReplyMessage
            do throws(ConnectionError) {
                let what = cancel ? "calling back" : "waiting for the end of the migration of"
                reply = try order(.completeMigrateOut(cancel: cancel), guest, in: directory, doing: what)
            } catch {
                throw Problem(takenBetween: error, "\(guest) can't go on here") ?? Problem(error)
            }
            if !cancel { try Migrate.show(reply) }
        }
    }

    struct In: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "On the target: take the leases that the source has given back, and let the guest run.",
            discussion: "With --cancel the guest that was to come is killed, and its leases, if it had any, are free.")

        @Argument(help: "The guest's name or UUID, on the target.") var guest: String
        @Option(help: ArgumentHelp("What migrate out has printed; - is standard input.", valueName: "file"))
        var state: String?
        @Flag(help: "Go back: the guest is gone here.") var cancel = false
        @OptionGroup var settings: ConfigurationOptions

        func validate() throws {
            if cancel == (state != nil) {
                throw ValidationError("give --state with the ticket that migrate out has printed, or --cancel")
            }
        }

        func run() throws {
            let directory = try settings.runDirectory()
            let ticket = try state.map(Migrate.read)
            do throws(ConnectionError) {
                _ = try order(
                    .completeMigrateIn(ticket: ticket, cancel: cancel), guest, in: directory,
                    doing: cancel ? "ending" : "bringing in")
            } catch {
                throw Problem(takenBetween: error, "\(guest) can't run here") ?? Problem(error)
            }
        }
    }

    /// A ticket is some kilobytes for each disk.
    private static let longestTicketBytes = 1 << 20

    private static func read(_ path: String) throws -> JSON {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try path == "-" ? contents(of: 0, "standard input") : contents(ofFile: path)
        } catch {
            throw Problem(Problem.usage, "--state \(error.message); give what migrate out has printed")
        }
        let json: JSON
        do { json = try JSON(parsing: bytes) } catch {
            throw Problem(Problem.usage, "--state \(path): \(error.description); give what migrate out has printed")
        }
        do throws(WireError) { return try WireTicket(json: json).json } catch {
            throw Problem(Problem.usage, "--state \(path): no ticket: \(error); give what migrate out has printed")
        }
    }

    // It may be a pipe, as a shell's <(…) is.
    private static func contents(ofFile path: String) throws(SystemError) -> [UInt8] {
        guard let kind = try Files.kind(of: path), !kind.isRegular, !kind.isDirectory else {
            return try Files.read(path, limit: longestTicketBytes)
        }
        let input = try Files.open(path, O_RDONLY | O_NOCTTY)
        return try contents(of: input.number, path)
    }

    private static func contents(of number: Int32, _ name: String) throws(SystemError) -> [UInt8] {
        let number = dup(number)
        guard number >= 0 else { throw SystemError("dup", on: name) }
        let input = Descriptor(adopting: number)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while bytes.count <= longestTicketBytes {
            let result = buffer.withUnsafeMutableBytes { some in
                Result { () throws(SystemError) in try input.read(into: some) }
            }
            guard let count = try result.get(), count > 0 else { break }
            bytes += buffer[..<count]
        }
        return bytes
    }

    private static func show(_ reply: ReplyMessage) throws {
        try leasehold.show(try reply.ticket().prettyDescription + "\n")
    }
}
