import ArgumentParser
import ControlProtocol
import GuestDirectory
import HostChecks
import Platform
import SupervisorConnection

struct Metrics: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print what there is to measure, as OpenMetrics text.",
        discussion: """
            For Prometheus: node_exporter's textfile collector reads what --output writes. Takes some seconds at most, whatever \
            hangs; what can't be known is left out.
            """)

    @Option(help: ArgumentHelp("Put the text there, whole; else it is printed.", valueName: "file"))
    var output: String?
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Write an array of families with their samples instead.") var json = false

    /// How long the guests' supervisors may take to answer, in seconds.
    private static let patienceSeconds = 2.0

    func run() throws {
        let directory = try settings.allGuests()
        let sanlock = try settings.sanlock()
        let sights = GuestSight.all(in: directory, within: Metrics.patienceSeconds)
        let leftovers: Int?
        do throws(SystemError) { leftovers = try Leftover.all(in: directory).count } catch { leftovers = nil }
        let exits = ((try? Files.names(in: directory.exits)) ?? []).sorted()
            .compactMap { EndedGuest.record("\(directory.exits)/\($0)") }
        var metrics = HostMetrics(
            version: leaseholdVersion, guests: sights.compactMap(Metrics.guest), exits: exits, leftovers: leftovers)
        metrics.unreadable = sights.count - metrics.guests.count
        metrics.lookAtHost(settings: sanlock)
        let text = json ? metrics.all.json.prettyDescription + "\n" : metrics.all.text
        guard let output else { return try show(text) }
        do throws(SystemError) { try Files.writeWhole(Array(text.utf8), to: output) } catch {
            throw Problem(Problem.cantCreate, "the metrics can't be written: \(error.message)")
        }
    }

    private static func guest(_ sight: GuestSight) -> HostMetrics.Guest? {
        guard let status = sight.status else { return nil }
        return HostMetrics.Guest(
            status: status, answers: sight.source == .supervisor,
            startSeconds: ProcessIdentity(runningAs: sight.found.supervisorPid)?.startSeconds,
            events: sight.events.last?.sequence)
    }
}
