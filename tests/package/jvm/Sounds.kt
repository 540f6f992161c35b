package edgedistill.sounds_student

import android.content.Context
import fake.Answers
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.json.JSONObject

/** Runs the module of a student for sound on a desktop's JVM; what it prints is JSON. */
object Harness {
    @JvmStatic
    fun main(arguments: Array<String>) {
        when (arguments[0]) {
            "preprocess" -> preprocess(arguments[1].toInt(), File(arguments[2]), File(arguments[3]))
            else -> println(selfTest(arguments.drop(1).map(::File)))
        }
    }

    /** Records of package/languages.py to their results, and the seconds that took, features included. */
    private fun preprocess(warmUps: Int, cases: File, results: File) {
        val data = ByteBuffer.wrap(cases.readBytes()).order(ByteOrder.LITTLE_ENDIAN)
        val recordings = mutableListOf<Heard>()
        while (data.hasRemaining()) {
            val head = List(6) { data.getInt() } // kind 1, frames, channels, rate, rate and length of the clip
            val values = ShortArray(head[1] * head[2]) { data.getDouble().toInt().toShort() }
            recordings += Heard(values, head[3], head[2])
        }
        repeat(warmUps) { LogMel.int8(recordings[it % recordings.size].clip()) }
        val started = System.nanoTime()
        val made = recordings.map { it.clip() }
        made.forEach { LogMel.int8(it) }
        File(results.absoluteFile.parentFile, "seconds.txt").writeText("${(System.nanoTime() - started) / 1e9}")
        results.outputStream().use { out ->
            for (clip in made) {
                val bytes = ByteBuffer.allocate(2 * clip.size).order(ByteOrder.LITTLE_ENDIAN)
                bytes.asShortBuffer().put(clip)
                out.write(bytes.array())
            }
        }
    }

    private class Heard(val samples: ShortArray, val rateHz: Int, val channels: Int) {
        fun clip(): ShortArray = Recording.clip(samples, rateHz, channels)
    }

    private fun samples(bytes: ByteArray): ShortArray {
        val made = ShortArray(bytes.size / 2)
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asShortBuffer().get(made)
        return made
    }

    /** The module's self-test in both runtimes (faked), and the best label of a recording. */
    private fun selfTest(roots: List<File>): JSONObject {
        val context = Context(*roots.toTypedArray())
        val contract = Student.open(context, LiteRt()).contract
        val read = { name: String -> context.assets.open("sounds_student/$name").use { it.readBytes() } }
        val inputs = read("golden-inputs.bin").toList().chunked(contract.inputSize).map { it.toByteArray() }
        val answers = read("golden-answers.bin").toList().chunked(contract.labels.size).map { it.toByteArray() }
        inputs.zip(answers, Answers::tell)
        val result = JSONObject()
        for (runtime in listOf(LiteRt(), OnnxRuntime())) {
            Student.open(context, runtime).use { student ->
                val raw = contract.raw[2] // of another rate and two channels
                val heard = samples(read(raw.file))
                val best = student.classify(heard, raw.rateHz, raw.shape[1], top = 1).single()
                val report = student.selfTest()
                val row = JSONObject().put("passed", report.passed).put("text", report.toString())
                result.put(runtime.format, row.put("label", best.label).put("rate", contract.raw[2].rateHz).put("raw", report.rawInputs))
            }
        }
        return result
    }
}
