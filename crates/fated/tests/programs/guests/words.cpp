// Counts words with several threads, each over its share, and merges what they found.
#include <algorithm>
#include <atomic>
#include <fstream>
#include <future>
#include <iostream>
#include <map>
#include <mutex>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using Counts = std::map<std::string, int>;

static Counts count(const std::vector<std::string> &lines, size_t from, size_t step)
{
    static const std::regex word("[A-Za-z']+");
    Counts counts;
    for (size_t i = from; i < lines.size(); i += step)
        for (std::sregex_iterator it(lines[i].begin(), lines[i].end(), word), end; it != end; ++it)
            ++counts[it->str()];
    return counts;
}

int main(int argc, char **argv)
{
    std::ifstream file(argc > 1 ? argv[1] : "poem.txt");
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);)
        lines.push_back(line);

    std::vector<std::future<Counts>> parts;
    for (size_t i = 0; i < 4; i++)
        parts.push_back(std::async(std::launch::async, count, std::cref(lines), i, 4));
    Counts total;
    for (auto &part : parts)
        for (const auto &[word, n] : part.get())
            total[word] += n;

    std::mutex lock;
    std::atomic<int> sum = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; i++)
        threads.emplace_back([&, i] {
            for (int k = 0; k < 100; k++) {
                std::lock_guard guard(lock);
                sum += i;
            }
        });
    for (auto &thread : threads)
        thread.join();

    std::vector<std::pair<std::string, int>> sorted(total.begin(), total.end());
    std::stable_sort(sorted.begin(), sorted.end(), [](auto &a, auto &b) { return a.second > b.second; });
    for (size_t i = 0; i < 5 && i < sorted.size(); i++)
        std::cout << sorted[i].second << ' ' << sorted[i].first << '\n';
    std::cout << "sum " << sum << '\n';
}
