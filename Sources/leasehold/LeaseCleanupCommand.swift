import ArgumentParser
import ControlProtocol
import Leases
import Platform
import SanlockLeases

struct LeaseCleanupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cleanup", abstract: "Remove the leases of disks that nobody uses.",
        discussion: "Safe against starts on all hosts at the same time. A start makes the lease of its disk again.")

    @Flag(name: .customLong("dry-run"), help: "Say what would be removed, and change nothing.") var dryRun = false
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an object.") var json = false

    func run() throws {
        let settings = try settings.sanlock()
        let isDryRun = dryRun
        let report = try working { progress throws(LeaseFailure) in
            if !isDryRun { _ = try LockspaceAdministration(settings: settings).join(progress: progress) }
            return try LeaseCleanup(LeaseDirectory(settings: settings)).run(dryRun: isDryRun) {
                progress(bar("cleaning up", $0, of: $1))
            }
        }
        try show(json ? jsonText(report) : text(report))
        for failure in report.failures {
            let line = "leasehold: \(failure.path.printable) was not removed: \(failure.reason.printable)\n"
            try? Files.write(Array(line.utf8), to: 2)
        }
        if !report.failures.isEmpty { throw ExitCode(Problem.cantCreate) }
    }

    private func text(_ report: CleanupReport) -> String {
        let verb = dryRun ? "would be removed" : "removed"
        var parts = ["\(report.removed) \(verb)", "\(report.inUse) in use"]
        if report.damaged > 0 { parts.append("\(report.damaged) damaged or not formatted") }
        if report.skipped > 0 { parts.append("\(report.skipped) no lease") }
        if !report.failures.isEmpty { parts.append("\(report.failures.count) failed") }
        return parts.joined(separator: ", ") + "\n"
    }

    private func jsonText(_ report: CleanupReport) -> String {
        var object = JSON.Object()
        object["dryRun"] = .bool(dryRun)
        object["removed"] = .integer(Int64(report.removed))
        object["inUse"] = .integer(Int64(report.inUse))
        object["damaged"] = .integer(Int64(report.damaged))
        object["skipped"] = .integer(Int64(report.skipped))
        object["failed"] = .integer(Int64(report.failures.count))
        return JSON.object(object).prettyDescription + "\n"
    }
}
